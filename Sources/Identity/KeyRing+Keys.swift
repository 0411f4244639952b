import Crypto
public import Wire

extension KeyRing {
    /// One immutable version of the ring. Any thread.
    public final class Keys: Sendable {
        struct Entry: Sendable, Equatable {
            let id: String
            /// Seconds since 1970.
            let created: Int64
            /// 32 bytes.
            let secret: [UInt8]

            init(id: String, created: Int64, secret: [UInt8]) {
                self.id = id
                self.created = created
                self.secret = secret
            }

            /// A new random key.
            init(created: Int64) {
                self.init(id: Base64URL.encode(Random.bytes(6)), created: created, secret: Random.bytes(32))
            }
        }

        /// Oldest first.
        let entries: [Entry]
        /// The place of the one that seals.
        private let sealing: Int
        private let cipher: AESGCM

        /// A ring whose last key seals, or the one at `sealing`.
        init(_ entries: [Entry], sealing: Int? = nil) {
            precondition(!entries.isEmpty, "a ring without keys")
            self.entries = entries
            self.sealing = sealing ?? entries.count - 1
            cipher = AESGCM()
        }

        /// The longest value that is looked at.
        static let sizeAtMost = 4096

        /// Appends the cookie value `v1.<kid>.<base64url of nonce, ciphertext and tag>` that only opens with the same
        /// host. `host` is what the browser asked for, in lower case.
        public func seal(_ session: SealedSession, host: borrowing Span<UInt8>, into out: inout ByteBuffer) {
            let entry = entries[sealing]
            let sealed = cipher.seal(session.bytes, key: entry.secret, additional: host)
            out.append("v1.")
            out.append(text: entry.id)
            out.append(UInt8(ascii: "."))
            Base64URL.encode(sealed.span, into: &out)
        }

        /// What `seal` put into `cookie`; nil when the value was not sealed by a key of this ring for this host, byte
        /// for byte. Its session may be over.
        public func open(_ cookie: borrowing Span<UInt8>, host: borrowing Span<UInt8>) -> SealedSession? {
            guard cookie.count <= Self.sizeAtMost, let (entry, start) = entry(named: cookie),
                let sealed = Base64URL.decode(cookie.extracting(start..<cookie.count)),
                let plain = cipher.open(sealed, key: entry.secret, additional: host)
            else { return nil }
            return SealedSession(bytes: plain)
        }

        /// The key that a value names, and where its ciphertext starts.
        private func entry(named cookie: borrowing Span<UInt8>) -> (Entry, Int)? {
            guard cookie.count > 3, cookie[0] == UInt8(ascii: "v"), cookie[1] == UInt8(ascii: "1"),
                cookie[2] == UInt8(ascii: ".")
            else { return nil }
            // Newest first: that is whose cookies there are most of.
            for index in entries.indices.reversed() {
                let id = entries[index].id.utf8Span.span
                let end = 3 + id.count
                guard cookie.count > end, cookie[end] == UInt8(ascii: ".") else { continue }
                var same = true
                for at in 0..<id.count where cookie[3 + at] != id[at] { same = false }
                if same { return (entries[index], end + 1) }
            }
            return nil
        }
    }
}
