/// Why something was refused or cut short, as `zlh_edge_refused_total{reason}` and the access log name it: a limit by
/// its dotted name under `limits`, or an `error` of the gateway's own answers.
public enum RefusalReason: UInt8, CaseIterable, Sendable {
    // Limits.
    case headersBytes, headersFields, headersTimeout
    case framingChunkExtension, framingExtensions, framingTrailers, framingEmptyLines
    case bodyMinimumRate, responseStall, keepAlive
    case tlsHandshake, tlsKeyUpdates
    case http2Streams, http2Abuse
    case upstreamConnect, upstreamResponse, upstreamHead, upstreamFields, upstreamInterim
    case upstreamPerVmid, upstreamQueue, upstreamStreamsPerVmid
    case tunnelIdleWebsocket, tunnelIdleMinecraft
    case buffer, memory, connections, sourceTracked
    case httpsConnections, httpsConnects, httpsUnauthenticated
    case minecraftConnections, minecraftConnects, minecraftStatus, minecraftLogin, minecraftHandshake
    case penalty, reloadRemoves, drain
    // Errors.
    case badRequest, misdirected, limited, tooLarge, timeout, unauthorized, forbidden, noSuchIde, routeConflict
    case unreachable, badGateway, upstreamTimeout, notFound, methodNotAllowed

    /// The name in metrics, logs and answers.
    public var label: StaticString {
        switch self {
        case .headersBytes: "headers.bytes"
        case .headersFields: "headers.fields"
        case .headersTimeout: "headers.timeout"
        case .framingChunkExtension: "framing.chunk_extension"
        case .framingExtensions: "framing.extensions"
        case .framingTrailers: "framing.trailers"
        case .framingEmptyLines: "framing.empty_lines"
        case .bodyMinimumRate: "body.minimum_rate"
        case .responseStall: "response_stall"
        case .keepAlive: "keep_alive"
        case .tlsHandshake: "tls.handshake"
        case .tlsKeyUpdates: "tls.key_updates"
        case .http2Streams: "http2.streams"
        case .http2Abuse: "http2.abuse"
        case .upstreamConnect: "upstream.connect"
        case .upstreamResponse: "upstream.response"
        case .upstreamHead: "upstream.head"
        case .upstreamFields: "upstream.fields"
        case .upstreamInterim: "upstream.interim"
        case .upstreamPerVmid: "upstream.per_vmid"
        case .upstreamQueue: "upstream.queue"
        case .upstreamStreamsPerVmid: "upstream.streams_per_vmid"
        case .tunnelIdleWebsocket: "tunnel_idle.websocket"
        case .tunnelIdleMinecraft: "tunnel_idle.minecraft"
        case .buffer: "buffer"
        case .memory: "memory"
        case .connections: "connections"
        case .sourceTracked: "source.tracked"
        case .httpsConnections: "https.connections"
        case .httpsConnects: "https.connects"
        case .httpsUnauthenticated: "https.unauthenticated"
        case .minecraftConnections: "minecraft.connections"
        case .minecraftConnects: "minecraft.connects"
        case .minecraftStatus: "minecraft.status"
        case .minecraftLogin: "minecraft.login"
        case .minecraftHandshake: "minecraft.handshake"
        case .penalty: "penalty"
        case .reloadRemoves: "reload_removes"
        case .drain: "drain"
        case .badRequest: "bad_request"
        case .misdirected: "misdirected"
        case .limited: "limited"
        case .tooLarge: "too_large"
        case .timeout: "timeout"
        case .unauthorized: "unauthorized"
        case .forbidden: "forbidden"
        case .noSuchIde: "no_such_ide"
        case .routeConflict: "route_conflict"
        case .unreachable: "unreachable"
        case .badGateway: "bad_gateway"
        case .upstreamTimeout: "upstream_timeout"
        case .notFound: "not_found"
        case .methodNotAllowed: "method_not_allowed"
        }
    }

    /// Whether the series of this reason is printed for `listener` before it ever happened.
    func isExpected(at listener: ListenerLabel) -> Bool {
        switch self {
        case .minecraftConnections, .minecraftConnects, .minecraftStatus, .minecraftLogin, .minecraftHandshake,
            .tunnelIdleMinecraft:
            listener == .minecraft
        case .memory, .connections, .sourceTracked, .penalty, .buffer, .drain, .upstreamConnect,
            .badRequest, .limited, .timeout, .forbidden, .unreachable, .notFound:
            listener == .https || listener == .minecraft
        case .reloadRemoves: listener == .admin
        default: listener == .https
        }
    }
}
