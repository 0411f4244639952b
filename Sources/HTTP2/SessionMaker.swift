import CNGHTTP2

/// Makes nghttp2's session and its first frames.
enum SessionMaker {
    /// A session without its user pointer.
    static func make(_ settings: HTTP2Settings) -> OpaquePointer? {
        var callbacks: OpaquePointer?
        var options: OpaquePointer?
        defer {
            unsafe nghttp2_session_callbacks_del(callbacks)
            unsafe nghttp2_option_del(options)
        }
        guard unsafe nghttp2_session_callbacks_new(&callbacks) == 0, unsafe nghttp2_option_new(&options) == 0 else {
            return nil
        }
        unsafe SessionCallbacks.install(in: callbacks)
        // Windows open when the container took the bytes, not when we have them.
        unsafe nghttp2_option_set_no_auto_window_update(options, 1)
        unsafe nghttp2_option_set_no_closed_streams(options, 1)
        unsafe nghttp2_option_set_max_deflate_dynamic_table_size(options, 4096)
        // A container's head of 64 KiB, with what a length before each string costs; by default nghttp2 drops such.
        unsafe nghttp2_option_set_max_send_header_block_length(options, 256 << 10)
        unsafe nghttp2_option_set_builtin_recv_extension_type(options, UInt8(NGHTTP2_PRIORITY_UPDATE.rawValue))
        // Our own count is to come first: this one knows only the client's resets, and goes by a clock of its own.
        let count = UInt64(settings.abuse.count)
        let rate = 4 * count * 1000 / UInt64(settings.abuse.perMs)
        unsafe nghttp2_option_set_stream_reset_rate_limit(options, max(1000, 4 * count), max(33, rate))
        var session: OpaquePointer?
        guard unsafe nghttp2_session_server_new2(&session, callbacks, nil, options) == 0 else { return nil }
        return unsafe session
    }

    /// Queues our SETTINGS and the connection's window.
    static func greet(_ session: OpaquePointer, _ settings: HTTP2Settings) -> Bool {
        let entries: [(nghttp2_settings_id, Int)] = [
            (NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, 4096),
            (NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, settings.streams),
            (NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, settings.streamWindow),
            (NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, settings.headBytes),
            (NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1),
            (NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1),
        ]
        let list = entries.map {
            nghttp2_settings_entry(
                settings_id: Int32(bitPattern: $0.0.rawValue), value: UInt32(truncatingIfNeeded: $0.1))
        }
        let none = UInt8(NGHTTP2_FLAG_NONE.rawValue)
        return unsafe nghttp2_submit_settings(session, none, list, list.count) == 0
            && nghttp2_session_set_local_window_size(
                session, none, 0, Int32(truncatingIfNeeded: settings.connectionWindow)) == 0
    }
}
