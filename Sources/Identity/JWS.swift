import Wire

/// A JWS in compact form (RFC 7515 section 7.1), taken apart but not yet believed.
struct JWS {
    /// More than this is not looked at.
    static let sizeAtMost = 2048

    let header: JSONValue
    let keyID: String
    /// The header's claim of an algorithm; the key's own decides.
    let algorithm: String
    let payload: [UInt8]
    let signature: [UInt8]
    /// How many bytes of the token, from its first, are signed.
    let signedCount: Int

    /// Header members that would let a token choose its own key or change what the signature means.
    private static let forbidden = ["crit", "jku", "x5u", "jwk"]

    /// Takes `token` apart; nil unless it has exactly three canonical base64url parts and a header to our rules.
    static func parse(_ token: borrowing Span<UInt8>) -> JWS? {
        guard let parts = split(token),
            let headerBytes = Base64URL.decode(token.extracting(parts.header)),
            let payload = Base64URL.decode(token.extracting(parts.payload)),
            let signature = Base64URL.decode(token.extracting(parts.signature)),
            let header = try? StrictJSON.parse(headerBytes, membersAtMost: 32),
            !forbidden.contains(where: { header[$0] != nil }),
            let algorithm = header["alg"]?.string, let keyID = header["kid"]?.string
        else { return nil }
        return JWS(
            header: header, keyID: keyID, algorithm: algorithm, payload: payload, signature: signature,
            signedCount: parts.payload.upperBound)
    }

    /// The three parts, none empty.
    static func split(
        _ token: borrowing Span<UInt8>
    ) -> (header: Range<Int>, payload: Range<Int>, signature: Range<Int>)? {
        guard token.count <= sizeAtMost else { return nil }
        var dots = (first: 0, second: 0)
        for at in 0..<token.count where token[at] == UInt8(ascii: ".") {
            if dots.first == 0 {
                dots.first = at
            } else if dots.second == 0 {
                dots.second = at
            } else {
                return nil
            }
        }
        guard dots.first > 0, dots.second > dots.first + 1, token.count > dots.second + 1 else { return nil }
        return (0..<dots.first, dots.first + 1..<dots.second, dots.second + 1..<token.count)
    }
}
