import Crypto
import Wire

/// Makes launch keys and, with them, tokens: what `zlh-edge token` does.
public enum LaunchKeys {
    /// The private half's file name, beside the JWKS.
    public static let privateKeyName = "launch.key.pem"
    /// The public half's file name; the default of `ide.launch.keys`.
    public static let keySetName = "keys.jwks.json"

    /// Makes an Ed25519 pair in `directory`, and the directory too when only its last part is missing: the private
    /// half as PEM with mode 0600, and a JWKS with the public half under its thumbprint (RFC 7638). Refuses to
    /// overwrite either.
    public static func generateEd25519(
        into directory: String
    ) throws(LaunchKeyError) -> (privatePEMPath: String, jwksPath: String, kid: String) {
        guard let key = PKey.generateEd25519(), let pem = key.privatePEM, let x = key.ed25519PublicBytes else {
            throw LaunchKeyError("libcrypto cannot make Ed25519 keys")
        }
        let publicKey = Base64URL.encode(x)
        let id = Base64URL.encode(Digest.sha256(Array(#"{"crv":"Ed25519","kty":"OKP","x":"\#(publicKey)"}"#.utf8)))
        let paths = (pem: "\(directory)/\(privateKeyName)", jwks: "\(directory)/\(keySetName)")
        do {
            try StateFile.makeDirectory(directory, mode: 0o755)
            for path in [paths.pem, paths.jwks] where try StateFile.status(path) != nil {
                throw StateError(path: path, reason: "is there already and may be in use; choose another directory")
            }
            try StateFile.writeNew(paths.pem, pem, mode: 0o600)
            try StateFile.writeNew(paths.jwks, Array(jwks(publicKey, id).utf8), mode: 0o644)
        } catch let error as StateError {
            throw LaunchKeyError(error.description)
        } catch {
            throw LaunchKeyError("\(error)")
        }
        return (paths.pem, paths.jwks, id)
    }

    private static func jwks(_ x: String, _ id: String) -> String {
        """
        {"keys": [
          {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "\(id)", "x": "\(x)"}
        ]}

        """
    }

    /// The bytes of a key file, a PEM or a JWKS, of at most 1 MiB. Waits for the disk.
    public static func read(_ path: String) throws(LaunchKeyError) -> [UInt8] {
        do {
            return try StateFile.readForeign(path)
        } catch {
            throw LaunchKeyError(error.description)
        }
    }

    /// One token, signed with a private key in unencrypted PEM.
    public static func issue(
        privateKeyPEM: [UInt8], keyID: String, claims: LaunchClaims, audience: String
    ) throws(LaunchKeyError) -> String {
        try LaunchSigner(privateKeyPEM: privateKeyPEM, keyID: keyID).sign(claims, audience: audience)
    }

    /// One token, signed with a secret of a JWKS.
    public static func issue(
        secretNamed keyID: String, in keys: KeySet, claims: LaunchClaims, audience: String
    ) throws(LaunchKeyError) -> String {
        try LaunchSigner(secretNamed: keyID, in: keys).sign(claims, audience: audience)
    }
}
