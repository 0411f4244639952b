/// How hard to compress, and in how much memory.
///
/// Measured with zlib 1.2.13 on one core, JavaScript of JupyterLab (6 MiB) fed in pieces of 16 KiB:
///
/// | window bits, memory level | held | level 1 | level 4 | level 6 |
/// |---|---|---|---|---|
/// | 15, 8 | 262 KiB | 32.0 %, 110 MB/s | 28.0 %, 72 MB/s | 26.6 %, 36 MB/s |
/// | 14, 7 | 134 KiB | 32.5 %, 99 MB/s | 28.8 %, 70 MB/s | 27.6 %, 43 MB/s |
/// | 13, 6 | 70 KiB | 33.4 %, 98 MB/s | 30.2 %, 71 MB/s | 29.3 %, 49 MB/s |
/// | 12, 5 | 38 KiB | 34.8 %, 86 MB/s | 31.8 %, 71 MB/s | 31.2 %, 56 MB/s |
///
/// The second row costs less than a point of the first and half of its memory, which counts when a browser opens
/// hundreds of streams. From level 4 on, each point costs a third of the speed, and the loop serves others meanwhile.
public enum GzipSettings {
    /// zlib's level.
    public static let level = 4
    static let windowBits: Int32 = 14
    static let memoryLevel: Int32 = 7
}
