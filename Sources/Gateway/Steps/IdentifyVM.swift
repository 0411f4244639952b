import Wire

/// Step *host*: the vmid that the Host names, or why there is none.
func identifyVM(
    _ head: RequestHead, _ bytes: borrowing Span<UInt8>, in domain: DevDomain
) throws(GatewayFailure) -> UInt32 {
    switch domain.match(bytes.extracting(head.authorityRange)) {
    case .vmid(let vmid, _): return vmid
    case .elsewhere: throw .misdirected
    case .malformed: throw .badRequest("The Host field is not a host name.")
    }
}
