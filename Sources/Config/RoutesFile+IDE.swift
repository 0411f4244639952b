import Routing
import Wire

extension RoutesFile {
    /// code-server's port in every dev container.
    static let idePort: UInt16 = 6000
    /// Generations are opaque, not endless.
    static let longestGeneration = 128

    /// Reads the `ide` mapping. Runs once a route for 100 000 of them, hence no `Section` for each.
    static func readIDE(
        _ node: Int, _ reading: Reading, _ rules: DialRules, _ vmids: ClosedRange<UInt32>
    ) -> [IDERoute] {
        let document = reading.document
        if document.isNothing(node) { return [] }
        guard document.kind(node) == .mapping else {
            reading.error(node, "\"ide\" must be vmids and their routes, not \(document.describe(node))")
            return []
        }
        var routes: [IDERoute] = []
        let count = Int(document.nodes[node].start) / 2
        routes.reserveCapacity(count)
        var keys: [UInt32: Int] = [:]
        keys.reserveCapacity(count)
        var owners: [Endpoint: UInt32] = [:]
        owners.reserveCapacity(count)
        document.forEachPair(of: node) { key, value in
            guard let vmid = readVMID(key, reading, vmids) else { return }
            if let first = keys.updateValue(key, forKey: vmid) {
                reading.error(key, "\(vmid) is given twice, first in line \(document.line(first)); remove one")
            }
            guard let route = readIDERoute(vmid, value, reading, rules) else { return }
            if let other = owners.updateValue(vmid, forKey: route.endpoint) {
                reading.warning(
                    key,
                    "\(vmid) and \(other) have the same address \(route.endpoint); "
                        + "both answer 503 route_conflict until one of them is mended")
            }
            routes.append(route)
        }
        return routes
    }

    private static func readVMID(_ key: Int, _ reading: Reading, _ vmids: ClosedRange<UInt32>) -> UInt32? {
        let text = reading.document.string(key)
        guard let vmid = vmid(text) else {
            reading.error(key, "\"ide\": \(quoted(text)) is not a vmid; write digits without a leading zero")
            return nil
        }
        guard vmids.contains(vmid) else {
            reading.error(
                key, "\(vmid) is outside \"ide.vmids\" (\(vmids.lowerBound)-\(vmids.upperBound)); mend one of them")
            return nil
        }
        return vmid
    }

    private static func readIDERoute(
        _ vmid: UInt32, _ node: Int, _ reading: Reading, _ rules: DialRules
    ) -> IDERoute? {
        let document = reading.document
        guard document.kind(node) == .mapping else {
            let example = "{ address: 10.60.11.1, generation: 01JD3K }"
            reading.error(node, "\"ide.\(vmid)\" must be like \(example), not \(document.describe(node))")
            return nil
        }
        var fields = IDEFields()
        var isValid = true
        document.forEachPair(of: node) { key, value in
            isValid = fields.take(key, value, vmid, reading) && isValid
        }
        let required = [("address", fields.address), ("generation", fields.generation)]
        for (name, field) in required where field == nil && isValid {
            reading.error(node, "\"ide.\(vmid)\": \"\(name)\" is missing; add it")
        }
        guard isValid, let addressNode = fields.address, let generationNode = fields.generation else { return nil }
        let port = fields.port.map { readPort($0, vmid, reading) } ?? idePort
        let address = readAddress(addressNode, vmid, reading)
        let generation = readGeneration(generationNode, vmid, reading)
        guard let port, let address, let generation else { return nil }
        let endpoint = Endpoint(address: address, port: port)
        if let refusal = rules.refusal(of: endpoint) {
            reading.error(addressNode, "\"ide.\(vmid)\": \(endpoint) \(refusal)")
            return nil
        }
        return IDERoute(vmid: vmid, endpoint: endpoint, generation: generation)
    }

    private static func readAddress(_ node: Int, _ vmid: UInt32, _ reading: Reading) -> IPAddress? {
        let text = reading.document.string(node)
        if let address = IPAddress(text) { return address }
        let hint = Endpoint(text) == nil ? "write one such as 10.60.11.1 or \"fd00::11:2\"" : "write the port as port:"
        reading.error(node, "\"ide.\(vmid)\": \(quoted(text)) is not an IP address; \(hint)")
        return nil
    }

    private static func readPort(_ node: Int, _ vmid: UInt32, _ reading: Reading) -> UInt16? {
        let text = reading.document.string(node)
        if let port = Quantity.integer(text).flatMap(UInt16.init(exactly:)), port > 0 { return port }
        reading.error(node, "\"ide.\(vmid)\": \(quoted(text)) is not a port; ports are 1 to 65535")
        return nil
    }

    private static func readGeneration(_ node: Int, _ vmid: UInt32, _ reading: Reading) -> String? {
        let bytes = reading.document.bytes(node)
        if (1...longestGeneration).contains(bytes.count), bytes.allSatisfy({ $0 > 0x20 && $0 != 0x7f }) {
            return reading.document.string(node)
        }
        reading.error(
            node,
            "\"ide.\(vmid)\": \(reading.document.describe(node)) is not a generation; "
                + "it has 1 to \(longestGeneration) bytes without spaces")
        return nil
    }

    /// Digits without sign or leading zero.
    static func vmid(_ text: some StringProtocol) -> UInt32? {
        guard (1...10).contains(text.utf8.count), text.utf8.allSatisfy(\.isDigit), text.utf8.first != 0x30 else {
            return nil
        }
        return UInt32(text)
    }
}

/// The nodes of one route's keys.
private struct IDEFields {
    var address: Int?
    var port: Int?
    var generation: Int?

    /// Remembers a value, or reports why not.
    mutating func take(_ key: Int, _ value: Int, _ vmid: UInt32, _ reading: Reading) -> Bool {
        let name = reading.document.string(key)
        let former: Int?
        switch name {
        case "address": (former, address) = (address, value)
        case "port": (former, port) = (port, value)
        case "generation": (former, generation) = (generation, value)
        default:
            reading.error(key, unknownKey(name, in: "ide.\(vmid)", among: ["address", "port", "generation"]))
            return false
        }
        if let former {
            reading.error(
                key, "\(quoted(name)) is given twice, first in line \(reading.document.line(former)); remove one")
            return false
        }
        return reading.document.isScalar(value) || reading.text(value, "ide.\(vmid).\(name)") != nil
    }
}
