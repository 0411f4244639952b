import TLS

/// Says of each certificate once that a third, a sixth and a twentieth of its lifetime is left, and that it is out of date:
/// certificates of 6, 45 and 90 days are all renewed in time for the same share of it.
struct CertificateReminders {
    private var stages: [Certificate.Name: Int] = [:]

    /// What is new to say at `now`.
    mutating func due(_ certificates: [Certificate], now: Int64) -> [(Certificate, Certificate.Concern)] {
        var next: [Certificate.Name: Int] = [:]
        var due: [(Certificate, Certificate.Concern)] = []
        for certificate in certificates {
            guard let concern = certificate.concern(now: now) else { continue }
            if stages[certificate.identity] != concern.stage { due.append((certificate, concern)) }
            next[certificate.identity] = concern.stage
        }
        stages = next
        return due
    }
}

extension Certificate {
    /// Which certificate, and until when: a renewed one is another.
    struct Name: Hashable {
        let path: String
        let notAfter: Int64
    }

    var identity: Name { Name(path: path, notAfter: notAfter) }
}
