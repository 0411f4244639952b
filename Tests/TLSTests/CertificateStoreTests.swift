import COpenSSL
import TLS
import Testing

@Suite struct CertificateStoreTests {
    /// Server name, certificates in order, whose certificate is shown.
    @Test(
        arguments: [
            ("dev-1.example.test", ["wildcard", "exact"], "exact"),
            ("dev-1.example.test", ["exact", "wildcard"], "exact"),
            ("DEV-1.Example.Test", ["wildcard", "exact"], "exact"),
            ("dev-2.example.test", ["exact", "wildcard"], "wildcard"),
            ("other.test", ["wildcard", "other"], "other"),
            ("a.b.example.test", ["other", "wildcard"], "other"),
            ("example.test", ["other", "wildcard"], "other"),
            ("nowhere.test", ["other", "wildcard"], "other"),
            ("nowhere.test", ["wildcard", "other"], "wildcard"),
            (nil, ["other", "wildcard"], "other"),
        ] as [(String?, [String], String)])
    func theNameChooses(name: String?, certificates: [String], shown: String) throws {
        let pair = TLSPair(try Fixture.store(certificates), Wishes(name: name))
        #expect(pair.shakeHands())
        #expect(pair.client.shownName == shown)
    }

    /// ECDSA and RSA of the same names share a context: the client gets what it can verify.
    @Test(
        arguments: [
            ["wildcard", "wildcard-rsa"], ["wildcard-rsa", "wildcard"], ["other", "wildcard", "wildcard-rsa"],
        ],
        [("ECDSA+SHA256", "wildcard"), ("RSA-PSS+SHA256", "wildcard-rsa")])
    func twoKeysSideBySide(certificates: [String], asked: (String, String)) throws {
        let pair = TLSPair(
            try Fixture.store(certificates), Wishes(name: "dev-3.example.test", signatures: asked.0))
        #expect(pair.shakeHands())
        #expect(pair.client.shownName == asked.1)
    }

    @Test func oneKeyKindAloneFailsForAClientThatCannotVerifyIt() throws {
        let pair = TLSPair(try Fixture.store(["wildcard"]), Wishes(signatures: "RSA-PSS+SHA256"))
        #expect(!pair.shakeHands())
    }

    /// What the client may speak, whether TLS 1.3 is required, the version that comes of it.
    @Test(
        arguments: [
            (TLS1_2_VERSION, TLS1_3_VERSION, false, TLS1_3_VERSION),
            (TLS1_2_VERSION, TLS1_2_VERSION, false, TLS1_2_VERSION),
            (TLS1_2_VERSION, TLS1_2_VERSION, true, nil),
            (TLS1_3_VERSION, TLS1_3_VERSION, true, TLS1_3_VERSION),
            (TLS1_1_VERSION, TLS1_1_VERSION, false, nil),
            (TLS1_VERSION, TLS1_1_VERSION, false, nil),
        ] as [(Int32, Int32, Bool, Int32?)])
    func versions(least: Int32, most: Int32, requires13: Bool, spoken: Int32?) throws {
        let store = try Fixture.store(["wildcard"], TLSSettings(requiresTLS13: requires13))
        let pair = TLSPair(store, Wishes(versions: (least, most)))
        #expect(pair.shakeHands() == (spoken != nil))
        if let spoken {
            #expect(pair.client.version == spoken)
            #expect(pair.server.isTLS13 == (spoken == TLS1_3_VERSION))
        }
    }

    /// What the client offers by ALPN and what is chosen; `nil` when the handshake must fail.
    @Test(
        arguments: [
            (["http/1.1"], "http/1.1"), (["h2", "http/1.1"], "h2"), (["http/1.1", "h2"], "h2"), (["h2"], "h2"),
            (["http/1.0"], "http/1.0"), (["http/1.0", "h2"], "h2"), (["http/1.0", "http/1.1"], "http/1.1"),
            (["h2c"], nil),
            (["http/1.11"], nil), ([], ""),
        ] as [([String], String?)])
    func protocols(offered: [String], chosen: String?) throws {
        let pair = TLSPair(try Fixture.store(["wildcard"]), Wishes(protocols: offered))
        #expect(pair.shakeHands() == (chosen != nil))
        if let chosen { #expect(pair.client.chosenProtocol == chosen) }
    }
}

/// Tickets, so that a client that returns is spared the full handshake on whichever loop it lands.
@Suite struct TicketTests {
    private func resumes(_ ticket: Ticket, on store: CertificateStore, _ version: Int32) throws -> Bool {
        let pair = TLSPair(store, Wishes(versions: (version, version), session: ticket))
        #expect(pair.shakeHands())
        return pair.server.isResumed
    }

    private func ticket(from store: CertificateStore, _ version: Int32) throws -> Ticket {
        let pair = TLSPair(store, Wishes(versions: (version, version)))
        #expect(pair.shakeHands())
        #expect(!pair.server.isResumed)
        return try #require(pair.client.ticket)
    }

    @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
    func twoStoresShareTheKeys(version: Int32) throws {
        let keys = TicketKeys()
        let first = try Fixture.store(["wildcard"], keys: keys)
        let second = try Fixture.store(["wildcard"], keys: keys)
        #expect(try resumes(ticket(from: first, version), on: second, version))
    }

    @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
    func strangersDoNot(version: Int32) throws {
        let first = try Fixture.store(["wildcard"])
        let second = try Fixture.store(["wildcard"])
        #expect(try !resumes(ticket(from: first, version), on: second, version))
    }

    /// Three keys are kept: a ticket outlives two rotations, not three.
    @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION], 0...4)
    func rotation(version: Int32, times: Int) throws {
        var keys = TicketKeys()
        let store = try Fixture.store(["wildcard"], keys: keys)
        let old = try ticket(from: store, version)
        for _ in 0..<times {
            keys = keys.rotated()
            store.adopt(keys)
        }
        #expect(try resumes(old, on: store, version) == (times < 3))
        #expect(try resumes(ticket(from: store, version), on: store, version))
    }
}
