import FoundationEssentials
import Identity
import Limits
import Observe
import Reactor
import Routing
import TLS
import Transport
import Wire

@testable import Gateway

/// A worker on the test's own thread, with everything in memory but the key ring, and nothing listening.
final class TestWorker {
    let worker: Worker
    private let folder = "\(FileManager.default.temporaryDirectory.path)/zlh-gateway-\(UUID().uuidString)"
    private var peers: [Peer] = []

    init() throws {
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        let now = Clock.epochMs() / 1000
        let paths = try DevelopmentCertificates.make(in: folder, domain: "example.test", nowEpoch: now)
        let log = LogSink(descriptor: 2, level: .error)
        let shared = GatewayShared(
            sources: SourceTable(SourceSettings()), sessions: SessionRegistry(limits: SessionLimits()),
            spent: try SpentTokens.open(directory: nil, now: Moment(epoch: now, steady: 0), startedAt: now),
            keyRing: try KeyRing.load(directory: folder, now: now, absolute: 3600),
            metrics: Metrics(loops: 1, log: log), log: log, connectionLimit: 100)
        let settings = GatewaySettings(
            domain: DevDomain("example.test", vmids: 1...1999)!, domainText: "example.test", loginURL: "",
            session: SessionLimits(), limits: LimitSettings(), sendsHSTS: false, compresses: true, logsAccess: false,
            trustedProxies: [])
        worker = try Worker(
            index: 0, shared: shared,
            snapshot: GatewaySnapshot(
                settings: settings, routes: .empty, verifier: LaunchVerifier(keys: KeySet(), policy: LaunchPolicy()),
                revocations: Revocations()),
            certificates: [try Certificate(certificatePath: paths.certificate, keyPath: paths.key)],
            tls: TLSSettings(), ticketKeys: TicketKeys())
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    /// The exchange of a plain connection to somebody who neither reads nor writes.
    func exchange() throws -> Exchange {
        let listener = try Socket.listen(high: 0, low: 0xffff_7f00_0001, port: 0)
        peers.append(
            Peer(try Socket.connect(high: 0, low: 0xffff_7f00_0001, port: Socket.localPort(of: listener))))
        guard let accepted = try Socket.accept(on: listener) else { throw SystemError(SystemError.timedOut) }
        let client = ClientConnection(
            Stream(accepted.takeDescriptor()), peer: Endpoint(address: IPAddress(ipv4: 1), port: 1), ticket: .none,
            awaitsProxyHeader: false, port: 1, worker: worker)
        client.start()
        // As after `begin`: judged by the snapshot in force.
        client.exchange.judgedBy = worker.version
        return client.exchange
    }

    private final class Peer {
        let socket: FileDescriptor
        init(_ socket: consuming FileDescriptor) { self.socket = socket }
    }
}
