import Identity
import Routing

/// Steps *route* and *generation*: the one place where a request gets its upstream. Pure: the same snapshot and session
/// give the same route.
func selectUpstream(
    for session: Session, vmid: UInt32, in routes: RouteTable, isNavigation: Bool
) throws(GatewayFailure) -> IDERoute {
    guard let route = routes.route(for: vmid) else { throw .noSuchIDE(isNavigation: isNavigation) }
    if route.isConflicted { throw .routeConflict }
    // The container was re-created since the session was made: it is another tenant's now.
    if session.generation != route.generation { throw .unauthorized(.revoked) }
    return route
}
