import Routing
import Wire

extension Section {
    /// Plain text, or a chat component object, which becomes JSON.
    mutating func chatText(_ key: String, _ target: inout ChatText) {
        var text: ChatText? = target
        chatText(key, &text)
        if let text { target = text }
    }

    /// The same where there may be none.
    mutating func chatText(_ key: String, _ target: inout ChatText?) {
        guard let node = node(key), !reading.document.isNothing(node) else { return }
        switch reading.document.kind(node) {
        case .plain, .quoted: target = .plain(reading.document.string(node))
        case .mapping: target = .component(ComponentJSON.text(of: node, in: reading))
        case .sequence:
            reading.error(node, "\"\(name(of: key))\" must be text or one chat component object, not a list")
        }
    }
}

/// A chat component written in YAML as the JSON the protocol wants.
enum ComponentJSON {
    static func text(of node: Int, in reading: Reading) -> String {
        let document = reading.document
        switch document.kind(node) {
        case .quoted: return JSONText.quoted(document.string(node))
        case .plain: return plain(document.string(node))
        case .sequence:
            return "[\(document.elements(of: node).map { text(of: $0, in: reading) }.joined(separator: ","))]"
        case .mapping:
            var members: [String] = []
            var names: Set<String> = []
            document.forEachPair(of: node) { key, value in
                let name = document.string(key)
                if !names.insert(name).inserted { reading.error(key, "\(quoted(name)) is given twice; remove one") }
                members.append("\(JSONText.quoted(name)):\(text(of: value, in: reading))")
            }
            return "{\(members.joined(separator: ","))}"
        }
    }

    /// Only here a scalar without quotes may be a number or a truth value; JSON's own spelling decides.
    private static func plain(_ text: String) -> String {
        let isWord = ["true", "false", "null"].contains(text)
        return isWord || isNumber(Array(text.utf8)[...]) ? text : JSONText.quoted(text)
    }

    /// RFC 8259 section 6.
    private static func isNumber(_ text: ArraySlice<UInt8>) -> Bool {
        var rest = text.first == UInt8(ascii: "-") ? text.dropFirst() : text
        let whole = rest.prefix(while: \.isDigit)
        guard !whole.isEmpty, whole.count == 1 || whole.first != 0x30 else { return false }
        rest = rest[whole.endIndex...]
        if rest.first == UInt8(ascii: ".") {
            let fraction = rest.dropFirst().prefix(while: \.isDigit)
            if fraction.isEmpty { return false }
            rest = rest[fraction.endIndex...]
        }
        if let e = rest.first, e | 0x20 == UInt8(ascii: "e") {
            rest = rest.dropFirst()
            if rest.first == UInt8(ascii: "+") || rest.first == UInt8(ascii: "-") { rest = rest.dropFirst() }
            let exponent = rest.prefix(while: \.isDigit)
            if exponent.isEmpty { return false }
            rest = rest[exponent.endIndex...]
        }
        return rest.isEmpty
    }
}
