/// What a person reads: a title, what happened, what to do.
struct FailureText: Sendable {
    let title: StaticString
    let message: StaticString
    let advice: StaticString

    init(_ title: StaticString, _ message: StaticString, _ advice: StaticString = "") {
        self.title = title
        self.message = message
        self.advice = advice
    }
}

extension GatewayFailure {
    var text: FailureText {
        switch self {
        case .badRequest(let what, _):
            FailureText("Bad request", what, "The browser or program sent something that is not HTTP.")
        case .notImplemented(let what): FailureText("Not supported", what)
        case .methodNotAllowed: FailureText("Method not allowed", "This address does not answer that method.")
        case .misdirected:
            FailureText("Wrong address", "This host name is not served here.", "Check the address for a typing error.")
        case .headTooLarge(_, clearsCookies: true):
            FailureText(
                "Too many cookies", "This site's cookies have grown too large for a request.",
                "They have just been cleared. Open your IDE from the portal again.")
        case .headTooLarge: FailureText("Request too large", "The request's header fields are larger than allowed.")
        case .payloadTooLarge: FailureText("Request too large", "The launch form is larger than 8 KiB.")
        case .requestTimeout: FailureText("Request timed out", "The request arrived too slowly.")
        case .limited: FailureText("Too many requests", "You are asking too often.", "Wait a moment, then try again.")
        case .overloaded:
            FailureText("Busy", "Too many requests wait for this IDE.", "This page tries again by itself.")
        case .unauthorized(.none):
            FailureText(
                "Please sign in", "This IDE is private, and there is no valid session in this browser.",
                "Open it from the portal. If you just did, your browser may be blocking cookies for this site: allow them and try again."
            )
        case .unauthorized(.expired):
            FailureText(
                "Your session has ended", "You were away for long, or signed in long ago.",
                "Open the IDE from the portal again.")
        case .unauthorized(.revoked):
            FailureText(
                "Your session was ended", "Access to this IDE was withdrawn or changed.",
                "Open the IDE from the portal again.")
        case .forbidden(let why): FailureText("Not allowed", why, "Open the IDE from the portal again.")
        case .noSuchIDE:
            FailureText(
                "No such IDE", "There is no IDE at this address.",
                "It may have been deleted: look in the portal. This page tries again by itself.")
        case .moved:
            FailureText("Your IDE is moving", "It has just got another address.", "This page tries again by itself.")
        case .notYetRouted:
            FailureText("Almost there", "Your IDE is being prepared.", "This page tries again by itself.")
        case .routeConflict:
            FailureText(
                "Temporarily unavailable", "This IDE's address is claimed twice, so it is not served.",
                "The operators can see this and must mend it.")
        case .unreachable:
            FailureText(
                "Your IDE does not answer", "It may be starting, or stopped.", "This page tries again by itself.")
        case .badGateway(let what):
            FailureText("Bad answer from your IDE", what, "If this lasts, restart the container from the portal.")
        case .upstreamTimeout:
            FailureText(
                "Your IDE takes too long", "It accepted the request but did not answer in time.",
                "Try again in a moment.")
        case .framedLaunch:
            FailureText(
                "Open your IDE in a tab", "Browsers do not keep its session within another page.",
                "The link is still good.")
        case .prefetch: FailureText("Not prefetched", "A launch link works once, so it is not fetched ahead.")
        case .notFound: FailureText("Not found", "There is nothing at this address.")
        case .draining: FailureText("Restarting", "The gateway is restarting.", "This page tries again by itself.")
        }
    }

    /// Seconds after which the page for a browser loads itself again; `nil` for one that stays.
    var reloadSeconds: Int? {
        switch self {
        case .unreachable, .overloaded, .draining, .notYetRouted, .noSuchIDE, .moved: 2
        default: nil
        }
    }
}
