import ArgumentParser

struct X: ParsableCommand { mutating func run() {} }
X.main()
