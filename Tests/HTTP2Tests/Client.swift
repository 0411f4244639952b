import CNGHTTP2
import Testing

/// nghttp2's own client, in memory.
@safe
final class Client {
    private var session: OpaquePointer?
    /// What came back, by stream.
    var fields: [Int32: [String]] = [:]
    var bodies: [Int32: Int] = [:]
    var ended: Set<Int32> = []
    var codes: [Int32: UInt32] = [:]
    /// Bytes still to upload, by stream.
    private var uploads: [Int32: Int] = [:]

    init() throws {
        var callbacks: OpaquePointer?
        unsafe nghttp2_session_callbacks_new(&callbacks)
        defer { unsafe nghttp2_session_callbacks_del(callbacks) }
        unsafe nghttp2_session_callbacks_set_on_header_callback(callbacks) {
            _, frame, name, count, value, size, _, user in
            guard let owner = unsafe Client.owner(user), let frame = unsafe frame else { return 0 }
            let name = unsafe String(decoding: UnsafeBufferPointer(start: name, count: count), as: UTF8.self)
            let value = unsafe String(decoding: UnsafeBufferPointer(start: value, count: size), as: UTF8.self)
            unsafe owner.fields[frame.pointee.hd.stream_id, default: []].append("\(name): \(value)")
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) { _, _, id, _, count, user in
            unsafe Client.owner(user)?.bodies[id, default: 0] += count
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, user in
            guard let header = unsafe frame?.pointee.hd else { return 0 }
            if header.type < 2, header.flags & 1 == 1 { unsafe Client.owner(user)?.ended.insert(header.stream_id) }
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { _, id, code, user in
            unsafe Client.owner(user)?.codes[id] = code
            return 0
        }
        unsafe nghttp2_session_client_new(&session, callbacks, Unmanaged.passUnretained(self).toOpaque())
        try #require(unsafe session != nil && nghttp2_submit_settings(session, 0, nil, 0) == 0)
    }

    deinit { unsafe nghttp2_session_del(session) }

    private static func owner(_ pointer: UnsafeMutableRawPointer?) -> Client? {
        guard let pointer = unsafe pointer else { return nil }
        return unsafe Unmanaged<Client>.fromOpaque(pointer).takeUnretainedValue()
    }

    /// Starts a request with a body of `upload` bytes.
    func request(_ fields: [(String, String)], upload: Int = 0) -> Int32 {
        let text = fields.map { (Array($0.0.utf8), Array($0.1.utf8)) }
        var storage: [UInt8] = text.flatMap { $0.0 + $0.1 }
        let id = unsafe storage.withUnsafeMutableBufferPointer { storage -> Int32 in
            guard var at = storage.baseAddress else { return -1 }
            var pairs: [nghttp2_nv] = unsafe []
            for (name, value) in text {
                unsafe pairs.append(
                    nghttp2_nv(
                        name: at, value: at + name.count, namelen: name.count, valuelen: value.count, flags: 0))
                unsafe at += name.count + value.count
            }
            if upload == 0 { return unsafe nghttp2_submit_request(session, nil, pairs, pairs.count, nil, nil) }
            var provider = unsafe nghttp2_data_provider()
            unsafe provider.read_callback = { _, id, _, size, flags, _, user in
                guard let owner = unsafe Client.owner(user), let flags = unsafe flags else { return -902 }
                let count = min(size, owner.uploads[id, default: 0])
                owner.uploads[id, default: 0] -= count
                if owner.uploads[id] == 0 { unsafe flags.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue }
                return count
            }
            return unsafe nghttp2_submit_request(session, nil, pairs, pairs.count, &provider, nil)
        }
        uploads[id] = upload
        return id
    }

    /// What it has to say now.
    func send() -> [UInt8] {
        var wire: [UInt8] = []
        while true {
            var bytes: UnsafePointer<UInt8>?
            let count = unsafe nghttp2_session_mem_send(session, &bytes)
            guard count > 0 else { return wire }
            unsafe wire += UnsafeBufferPointer(start: bytes, count: count)
        }
    }

    func receive(_ bytes: [UInt8]) {
        let count = unsafe nghttp2_session_mem_recv(session, bytes, bytes.count)
        #expect(count == bytes.count)
    }
}
