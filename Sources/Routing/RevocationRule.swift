/// One entry of a `revoked` list. `before` is in seconds since 1970 and compares with a launch token's `iat`: what was
/// issued earlier is revoked; without it everything is.
public enum RevocationRule: Sendable, Equatable {
    /// One session, by its id.
    case session(String)
    /// All sessions of a user.
    case user(String, before: Int64?)
    /// All sessions of a container.
    case vmid(UInt32, before: Int64?)
}
