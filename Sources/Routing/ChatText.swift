/// A message a Minecraft client shows.
public enum ChatText: Sendable, Equatable {
    /// Plain text, to be quoted as JSON where the protocol wants a component.
    case plain(String)
    /// A chat component object as JSON, sent as it is.
    case component(String)
}
