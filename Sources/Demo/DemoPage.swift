/// The demo container's page, whole in itself: no asset is fetched from anywhere.
enum DemoPage {
    /// The document.
    static let html = """
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover">
        <meta name="color-scheme" content="light dark">
        <title>Demo container</title>
        <link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E\
        %3Crect width='16' height='16' rx='4' fill='%230b7a75'/%3E%3Cpath d='M4 5l3 3-3 3M8.5 11H12' fill='none' \
        stroke='%23fff' stroke-width='1.6' stroke-linecap='round'/%3E%3C/svg%3E">
        <style>\(style)</style>
        </head>
        <body>
        \(markup)
        <script>\(terminalScript)</script>
        <script>\(pageScript)</script>
        </body>
        </html>

        """

    private static let markup = """
        <header>
          <div>
            <h1>Demo container</h1>
            <p id="place" class="quiet">behind the gateway</p>
          </div>
          <div id="who" class="who"><span class="quiet">asking who you are…</span></div>
        </header>
        <main>
          <section class="wide" aria-labelledby="shell-title">
            <h2 id="shell-title">Shell <span id="shell-state" class="pill">connecting</span></h2>
            <div id="terminal" class="terminal" tabindex="-1"></div>
            <div id="keys" class="keys" role="toolbar" aria-label="Keys that a phone lacks">
              <button data-key="Escape">esc</button><button data-key="Tab">tab</button>
              <button data-key="Control" aria-pressed="false">ctrl</button>
              <button data-key="ArrowUp" aria-label="up">↑</button><button data-key="ArrowDown" aria-label="down">↓</button>
              <button data-key="ArrowLeft" aria-label="left">←</button>
              <button data-key="ArrowRight" aria-label="right">→</button>
              <button id="reconnect">new shell</button>
            </div>
          </section>
          <section aria-labelledby="echo-title">
            <h2 id="echo-title">Echo WebSocket <span id="echo-state" class="pill">connecting</span></h2>
            <form id="echo-form">
              <input id="echo-text" autocomplete="off" placeholder="say something" aria-label="Message">
              <button>Send</button>
            </form>
            <p class="quiet">round trip <b id="echo-ms">–</b> · median of <b id="echo-count">0</b>: <b id="echo-median">–</b></p>
            <ol id="echo-log" class="log" aria-live="polite"></ol>
          </section>
          <section aria-labelledby="bytes-title">
            <h2 id="bytes-title">Bytes</h2>
            <div class="row">
              <button id="download">Download 64 MiB</button>
              <button id="upload">Upload 16 MiB</button>
              <button id="slow">Wait 3 s</button>
            </div>
            <p id="bytes-result" class="quiet" aria-live="polite">Both directions stream; nothing is stored.</p>
            <p class="quiet">Server-sent events: <b id="ticks">–</b></p>
          </section>
          <section class="wide" aria-labelledby="headers-title">
            <h2 id="headers-title">What reached the container</h2>
            <p class="quiet">The gateway's own cookie and token are not among these headers; those it set are marked.</p>
            <div class="scroll"><table id="headers"><tbody></tbody></table></div>
          </section>
        </main>
        """

    private static let style = """
        :root{--bg:#f5f6f4;--card:#fff;--ink:#1b211f;--quiet:#5f6b67;--line:#dfe4e1;--accent:#0b7a75;--on:#fff;\
        --bad:#b3402a;--term:#10201e}
        @media (prefers-color-scheme:dark){:root{--bg:#0f1413;--card:#171e1c;--ink:#e4eae7;--quiet:#93a19c;\
        --line:#29332f;--accent:#3fb8ae;--on:#04211f;--bad:#ee8a72;--term:#0a1211}}
        *{box-sizing:border-box}
        body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,sans-serif;
          padding:env(safe-area-inset-top) env(safe-area-inset-right) env(safe-area-inset-bottom) env(safe-area-inset-left)}
        header,main{max-width:68rem;margin:0 auto;padding:1rem}
        header{display:flex;flex-wrap:wrap;gap:.5rem 1.5rem;align-items:center;justify-content:space-between}
        h1{font-size:1.35rem;margin:0}h2{font-size:1rem;margin:0 0 .6rem;display:flex;gap:.6rem;align-items:center}
        p{margin:.4rem 0}.quiet{color:var(--quiet);font-size:.9rem}header p{margin:0}
        main{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));padding-top:0}
        section{background:var(--card);border:1px solid var(--line);border-radius:.8rem;padding:1rem;min-width:0}
        .wide{grid-column:1/-1}
        .who{display:flex;gap:.8rem;align-items:center}
        button,input{font:inherit;border-radius:.5rem;padding:.5rem .8rem;min-height:2.6rem}
        button{border:0;background:var(--accent);color:var(--on);cursor:pointer;white-space:nowrap}
        button:disabled{opacity:.5;cursor:default}
        button:focus-visible,input:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
        input{flex:1;min-width:0;border:1px solid var(--line);background:var(--bg);color:inherit}
        form,.row{display:flex;flex-wrap:wrap;gap:.5rem}form{flex-wrap:nowrap}
        .plain,.keys button{background:transparent;color:var(--accent);border:1px solid var(--line)}
        .pill{font-size:.75rem;font-weight:500;padding:.1rem .5rem;border-radius:1rem;border:1px solid var(--line);
          color:var(--quiet)}
        .pill.open{color:var(--accent);border-color:var(--accent)}.pill.shut{color:var(--bad);border-color:var(--bad)}
        .log{margin:.5rem 0 0;padding:0;list-style:none;font:.85rem/1.5 ui-monospace,monospace;max-height:8rem;overflow:auto}
        .log li{overflow-wrap:anywhere}
        .scroll{overflow-x:auto}table{border-collapse:collapse;font:.82rem/1.5 ui-monospace,monospace;width:100%}
        td{padding:.15rem .8rem .15rem 0;vertical-align:top;border-top:1px solid var(--line);overflow-wrap:anywhere}
        td:first-child{white-space:nowrap;color:var(--quiet)}tr.ours td:first-child{color:var(--accent);font-weight:600}
        .terminal{position:relative;background:var(--term);color:#d7e2de;border-radius:.5rem;padding:8px;
          height:24rem;max-height:60vh;overflow-y:auto;overflow-x:hidden;
          font:13px/1.3 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;cursor:text}
        .terminal pre{margin:0;font:inherit;white-space:pre}
        .terminal .cursor{background:#d7e2de;color:#10201e}
        .terminal:not(:focus-within) .cursor{background:transparent;color:inherit;outline:1px solid #d7e2de}
        .terminal textarea{position:absolute;left:8px;width:1px;height:16px;opacity:0;border:0;padding:0;
          resize:none;font-size:16px;overflow:hidden}
        .keys{display:flex;flex-wrap:wrap;gap:.4rem;margin-top:.6rem}
        .keys button{padding:.3rem .7rem;min-height:2.4rem}.keys [aria-pressed=true]{background:var(--accent);color:var(--on)}
        #reconnect{margin-left:auto}
        """
}
