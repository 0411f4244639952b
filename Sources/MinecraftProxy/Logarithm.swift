import Glibc

/// `ln x`.
func naturalLogarithm(_ x: Double) -> Double { log(x) }
