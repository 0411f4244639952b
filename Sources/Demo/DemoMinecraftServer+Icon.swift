extension DemoGameConnection {
    /// 64 by 64 pixels, as the server list wants it.
    static let icon =
        "data:image/png;base64,"
        + "iVBORw0KGgoAAAANSUhEUgAAAEAAAABAAgMAAADXB5lNAAAADFBMVEUAAAAWGCb6zBU8Qmi6fGpEAAAAAXRSTlMAQObYZgAAANJJ"
        + "REFUeNqF1LENwyAQBdCTMoAnijIFRKJxlSLMEClTMAKFmSJLZA837hI5ig4f8M8J19j3JJ8Q+ENEwyo1EzU9y7oYqXElOrxNVfcH"
        + "Dc8azjMNpqmZTi286JjfLD9uAg7Bb7C0MApMABbBdcEjpB5YBIfgU+xAArAIbge+FQU8QxDgPsknlvvpN5SZGcrMFso6EkA1k6Ga"
        + "WW0yz/wPsOt5UyuICKELnZOzeC47EBAMwATgFESEgCAhyz+/wJaGK8KlgIqYCqGKqQqyirq+DOC6+ADAPsIMz8k/fgAAAABJRU5E"
        + "rkJggg=="
}
