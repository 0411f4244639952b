import Testing
import Wire

@testable import Identity

/// The examples of RFC 7515 appendix A and RFC 8037 appendix A.4. They name no `kid` and are no launch tokens, so the
/// key alone is asked.
@Suite struct RFCVectorTests {
    struct Example: Sendable, CustomStringConvertible {
        let description: String
        let jwk: String
        let token: String
    }

    private static let payload =
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

    static let examples = [
        Example(
            description: "RFC 7515 A.1, HS256",
            jwk: #"{"kty":"oct","kid":"k","#
                + #""k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#,
            token: "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." + payload
                + ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
        Example(
            description: "RFC 7515 A.2, RS256",
            jwk: #"{"kty":"RSA","kid":"k","e":"AQAB","n":""#
                + "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-y"
                + "RT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-"
                + "KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9"
                + #"_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}"#,
            token: "eyJhbGciOiJSUzI1NiJ9." + payload
                + ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGb"
                + "ds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0Ga"
                + "rZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY"
                + "9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"),
        Example(
            description: "RFC 7515 A.3, ES256",
            jwk: #"{"kty":"EC","kid":"k","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","#
                + #""y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
            token: "eyJhbGciOiJFUzI1NiJ9." + payload
                + ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"),
        Example(
            description: "RFC 8037 A.4, EdDSA",
            jwk: #"{"kty":"OKP","kid":"k","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
            token: "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
                + ".hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"),
    ]

    @Test(arguments: examples)
    func signature(_ example: Example) throws {
        let set = try KeySet(jwks: Array("{\"keys\":[\(example.jwk)]}".utf8))
        let key = try #require(set.key("k"))
        let bytes = Array(example.token.utf8)
        let split = JWS.split(bytes.span)
        let parts = try #require(split)
        var signature = try #require(Base64URL.decode(String(decoding: bytes[parts.signature], as: UTF8.self)))
        let message = Array(bytes[..<parts.payload.upperBound])
        #expect(key.verifies(signature, over: message))
        for at in signature.indices {
            signature[at] ^= 0x40
            #expect(!key.verifies(signature, over: message), "byte \(at)")
            signature[at] ^= 0x40
        }
        #expect(!key.verifies([], over: message))
        #expect(!key.verifies(signature, over: Array(message.dropLast())))
    }
}
