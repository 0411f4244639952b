import CNGHTTP2

/// What nghttp2 calls. Each finds its session by the user pointer and takes a note or looks something up; the notes
/// are acted upon when nghttp2 has returned.
enum SessionCallbacks {
    static func install(in callbacks: OpaquePointer?) {
        unsafe nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, beginHeaders)
        unsafe nghttp2_session_callbacks_set_on_header_callback(callbacks, header)
        unsafe nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, invalidHeader)
        unsafe nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, frameReceived)
        unsafe nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, dataReceived)
        unsafe nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, streamClosed)
        unsafe nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, frameSent)
        unsafe nghttp2_session_callbacks_set_data_source_read_length_callback(callbacks, readLength)
        unsafe nghttp2_session_callbacks_set_send_data_callback(callbacks, sendData)
    }

    @inline(__always)
    private static func owner(_ pointer: UnsafeMutableRawPointer?) -> HTTP2Session? {
        guard let pointer = unsafe pointer else { return nil }
        return unsafe Unmanaged<HTTP2Session>.fromOpaque(pointer).takeUnretainedValue()
    }

    /// The slot that `beginHeaders` gave the stream.
    private static func slot(_ session: OpaquePointer?, _ id: Int32) -> Int? {
        let data = unsafe nghttp2_session_get_stream_user_data(session, id)
        let number = Int(bitPattern: data)
        return number > 0 ? number &- 1 : nil
    }

    private static let beginHeaders: nghttp2_on_begin_headers_callback = { session, frame, user in
        guard let owner = unsafe owner(user), let frame = unsafe frame else { return 0 }
        let id = unsafe frame.pointee.hd.stream_id
        if unsafe frame.pointee.headers.cat == NGHTTP2_HCAT_REQUEST {
            let slot = owner.noteRequestBegins(id)
            unsafe _ = nghttp2_session_set_stream_user_data(
                session, id, UnsafeMutableRawPointer(bitPattern: slot &+ 1))
        } else if let slot = unsafe slot(session, id) {
            owner.noteTrailersBegin(slot)
        }
        return 0
    }

    private static let header: nghttp2_on_header_callback = { _, _, name, nameCount, value, valueCount, _, user in
        guard let user = unsafe user else { return 0 }
        let name = unsafe UnsafeBufferPointer(start: name, count: nameCount)
        let value = unsafe UnsafeBufferPointer(start: value, count: valueCount)
        // Called for every field, so without counting a reference.
        let goesOn = unsafe Unmanaged<HTTP2Session>.fromOpaque(user)._withUnsafeGuaranteedRef {
            unsafe $0.noteField(name.span, value.span)
        }
        return goesOn ? 0 : NGHTTP2_ERR_PAUSE.rawValue
    }

    /// By default nghttp2 drops a malformed field and goes on without it.
    private static let invalidHeader: nghttp2_on_invalid_header_callback = { _, _, _, _, _, _, _, user in
        guard let owner = unsafe owner(user) else { return 0 }
        return owner.noteInvalidField() ? 0 : NGHTTP2_ERR_PAUSE.rawValue
    }

    private static let frameReceived: nghttp2_on_frame_recv_callback = { session, frame, user in
        guard let owner = unsafe owner(user), let frame = unsafe frame else { return 0 }
        let header = unsafe frame.pointee.hd
        let isLast = header.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
        switch UInt32(header.type) {
        case NGHTTP2_HEADERS.rawValue:
            if let slot = unsafe slot(session, header.stream_id) { owner.noteHeadEnds(slot, header.stream_id, isLast) }
        case NGHTTP2_DATA.rawValue:
            if isLast, let slot = unsafe slot(session, header.stream_id) { owner.noteEnd(slot) }
        case NGHTTP2_WINDOW_UPDATE.rawValue:
            if header.stream_id == 0 {
                owner.noteWindow(-1)
            } else if let slot = unsafe slot(session, header.stream_id) {
                owner.noteWindow(slot)
            }
        case NGHTTP2_SETTINGS.rawValue:
            if header.flags & UInt8(NGHTTP2_FLAG_ACK.rawValue) == 0 { owner.noteWindow(-1) }
        case NGHTTP2_GOAWAY.rawValue:
            owner.noteGoAway()
        case NGHTTP2_PRIORITY_UPDATE.rawValue:
            guard let payload = unsafe frame.pointee.ext.payload else { break }
            let update = unsafe payload.assumingMemoryBound(to: nghttp2_ext_priority_update.self).pointee
            let text = unsafe UnsafeBufferPointer(start: update.field_value, count: update.field_value_len)
            let id = unsafe update.stream_id
            unsafe owner.notePriority(slot(session, id), id, HTTP2Priority(text.span))
        default: break
        }
        return 0
    }

    private static let dataReceived: nghttp2_on_data_chunk_recv_callback = { session, _, id, bytes, count, user in
        guard let owner = unsafe owner(user), count > 0 else { return 0 }
        unsafe owner.noteData(slot(session, id), UInt(bitPattern: bytes), count)
        return 0
    }

    private static let streamClosed: nghttp2_on_stream_close_callback = { session, id, code, user in
        guard let owner = unsafe owner(user) else { return 0 }
        owner.noteClosed(unsafe slot(session, id), id, code)
        return 0
    }

    private static let frameSent: nghttp2_on_frame_send_callback = { session, frame, user in
        guard let owner = unsafe owner(user), let frame = unsafe frame else { return 0 }
        let header = unsafe frame.pointee.hd
        switch UInt32(header.type) {
        case NGHTTP2_DATA.rawValue, NGHTTP2_HEADERS.rawValue:
            if header.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0,
                let slot = unsafe slot(session, header.stream_id)
            {
                owner.noteEndSent(slot)
            }
        case NGHTTP2_RST_STREAM.rawValue: owner.noteResetSent(unsafe frame.pointee.rst_stream.error_code)
        case NGHTTP2_GOAWAY.rawValue: owner.noteGoAwaySent(unsafe frame.pointee.goaway.error_code)
        default: break
        }
        return 0
    }

    /// A DATA frame and its header fill one TLS record.
    private static let readLength: nghttp2_data_source_read_length_callback = { _, _, _, _, _, maximum, _ in
        min(16_384 - HTTP2FrameHeader.count, Int(maximum))
    }

    /// What may be sent of a body. The bytes stay where they are.
    static let read: nghttp2_data_source_read_callback = { _, _, _, asked, flags, source, user in
        guard let owner = unsafe owner(user), let source = unsafe source, let flags = unsafe flags else {
            return Int(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue)
        }
        let (count, more) = owner.lookUpBody(Int(unsafe source.pointee.fd), asked)
        unsafe flags.pointee |= more
        return count
    }

    private static let sendData: nghttp2_send_data_callback = { _, frame, header, count, source, user in
        guard let owner = unsafe owner(user), let frame = unsafe frame, let header = unsafe header,
            let source = unsafe source
        else { return NGHTTP2_ERR_CALLBACK_FAILURE.rawValue }
        let ends = unsafe frame.pointee.hd.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
        unsafe owner.noteDataSent(Int(source.pointee.fd), HTTP2FrameHeader(header), count, ends)
        return 0
    }
}
