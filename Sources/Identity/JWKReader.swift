import Crypto
import Wire

/// Turns one JWK (RFC 7517, 7518, 8037) into a key, or says why it is of no use here.
struct JWKReader {
    let index: Int
    let jwk: JSONValue

    private func refuse(_ reason: String) -> KeySetError {
        KeySetError(index: index, keyID: jwk["kid"]?.string, reason: reason)
    }

    func key(_ warnings: inout [String]) throws(KeySetError) -> VerificationKey {
        guard case .object = jwk else { throw refuse("not a JSON object") }
        guard let id = jwk["kid"]?.string, !id.isEmpty else { throw refuse("no \"kid\", which tokens choose it by") }
        if let use = jwk["use"], use.string != "sig" { throw refuse("\"use\" must be \"sig\" or absent") }
        try checkOperations()
        let (natural, material) = try readMaterial()
        let algorithm = try readAlgorithm(natural)
        if natural != .hs256, jwk["d"] != nil {
            warnings.append(
                "key \(index) (kid \"\(id)\") holds its private half \"d\": the edge needs the public half only")
        }
        return VerificationKey(id: id, algorithm: algorithm, material: material)
    }

    private func checkOperations() throws(KeySetError) {
        guard let operations = jwk["key_ops"] else { return }
        guard let names = operations.array, names.contains(.string("verify")) else {
            throw refuse("\"key_ops\" must list \"verify\" or be absent")
        }
    }

    private func readAlgorithm(_ natural: Algorithm) throws(KeySetError) -> Algorithm {
        guard let member = jwk["alg"] else { return natural }
        guard let name = member.string else { throw refuse("\"alg\" is not text") }
        guard let algorithm = Algorithm(rawValue: name) else {
            throw refuse("\"alg\" \(member.text) is not one of EdDSA, ES256, RS256, HS256")
        }
        if algorithm == natural || (natural == .edDSA && algorithm == .ed25519) { return algorithm }
        throw refuse("\"alg\" \(name) does not fit a key of this kind, whose algorithm is \(natural.rawValue)")
    }

    private func readMaterial() throws(KeySetError) -> (Algorithm, VerificationKey.Material) {
        guard let kind = jwk["kty"]?.string else { throw refuse("no \"kty\"") }
        switch kind {
        case "OKP": return (.edDSA, .asymmetric(try readEd25519()))
        case "EC": return (.es256, .asymmetric(try readP256()))
        case "RSA": return (.rs256, .asymmetric(try readRSA()))
        case "oct": return (.hs256, .secret(try readSecret()))
        default: throw refuse("\"kty\" \(JSONValue.string(kind).text) is not one of OKP, EC, RSA, oct")
        }
    }

    private func readEd25519() throws(KeySetError) -> PKey {
        guard jwk["crv"]?.string == "Ed25519" else { throw refuse("\"crv\" must be \"Ed25519\"") }
        guard let key = PKey(ed25519: try bytes("x")) else { throw refuse("\"x\" is not an Ed25519 key of 32 bytes") }
        return key
    }

    private func readP256() throws(KeySetError) -> PKey {
        guard jwk["crv"]?.string == "P-256" else { throw refuse("\"crv\" must be \"P-256\"") }
        guard let key = PKey(p256X: try bytes("x"), y: try bytes("y")) else {
            throw refuse("\"x\" and \"y\" are not a point of P-256, 32 bytes each")
        }
        return key
    }

    private func readRSA() throws(KeySetError) -> PKey {
        let modulus = try bytes("n")
        let exponent = try bytes("e")
        guard exponent.count <= 8, exponent != [1], exponent[exponent.count - 1] & 1 == 1 else {
            throw refuse("\"e\" is not an odd RSA exponent of at most 64 bits")
        }
        guard let key = PKey(rsaModulus: modulus, exponent: exponent) else {
            throw refuse("\"n\" and \"e\" are not an RSA key of at most 8192 bits")
        }
        guard key.bits >= 2048 else { throw refuse("\(key.bits) bits are too few: RS256 needs at least 2048") }
        return key
    }

    private func readSecret() throws(KeySetError) -> [UInt8] {
        let secret = try bytes("k")
        guard secret.count >= 32 else { throw refuse("\(secret.count) bytes are too few: HS256 needs at least 32") }
        guard secret.count <= 1024 else { throw refuse("\"k\" is longer than 1024 bytes") }
        return secret
    }

    /// A member in base64url (RFC 7518 section 2: no padding).
    private func bytes(_ name: String) throws(KeySetError) -> [UInt8] {
        guard let text = jwk[name]?.string else { throw refuse("no \"\(name)\"") }
        guard let bytes = Base64URL.decode(text), !bytes.isEmpty else {
            throw refuse("\"\(name)\" is not base64url without padding")
        }
        return bytes
    }
}
