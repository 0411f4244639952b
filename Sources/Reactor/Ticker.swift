extension EventLoop {
    /// Calls `tick` every `periodMs` from now on, for as long as the loop lives: for what is done now and then. A loop
    /// that was held up drops the ticks it missed.
    public func tick(everyMs periodMs: UInt64, _ tick: @escaping () -> Void) {
        let ticker = Ticker(self, periodMs, tick)
        register(ticker)
        ticker.wind()
    }
}

/// Ticks; its loop holds it.
private final class Ticker: EventSource {
    private unowned let loop: EventLoop
    private let periodMs: UInt64
    private let tick: () -> Void

    init(_ loop: EventLoop, _ periodMs: UInt64, _ tick: @escaping () -> Void) {
        self.loop = loop
        self.periodMs = periodMs
        self.tick = tick
        super.init()
    }

    func wind() { loop.setDeadline(loop.nowMs + periodMs, for: self) }

    override func expired() {
        wind()
        tick()
    }
}
