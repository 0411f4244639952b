// Who is logged in, the echo panel, the byte counters, the header table.
(() => {
  'use strict';
  const $ = id => document.getElementById(id);
  const wsURL = path => location.origin.replace(/^http/, 'ws') + path;
  const pill = (node, state) => { node.textContent = state;
    node.className = 'pill ' + ({ open: 'open', closed: 'shut' }[state] || ''); };
  const text = (tag, value) => { const node = document.createElement(tag); node.textContent = value; return node; };
  $('place').textContent = location.host;

  // The gateway answers this path itself; the container never sees it.
  const who = async () => {
    const box = $('who');
    try {
      const answer = await fetch('/.zlh/session', { headers: { accept: 'application/json' } });
      if (!answer.ok) throw new Error(answer.status);
      const session = await answer.json();
      const left = Math.max(0, session.expires - Date.now() / 1000);
      const name = document.createElement('span');
      name.append(text('b', session.user), ' · container ' + session.vmid + ' · '
        + Math.floor(left / 3600) + ' h ' + Math.floor(left % 3600 / 60) + ' min left');
      const out = text('button', 'Log out');
      out.className = 'plain';
      out.onclick = async () => { await fetch('/.zlh/logout', { method: 'POST' }); location.reload(); };
      box.replaceChildren(name, out);
    } catch { box.replaceChildren(text('span', 'no session: reached past the gateway')); }
  };
  who();

  const times = [];
  let echo, echoDelay = 500;
  const openEcho = () => {
    pill($('echo-state'), 'connecting');
    echo = new WebSocket(wsURL('/echo'));
    echo.onopen = () => { pill($('echo-state'), 'open'); echoDelay = 500; };
    echo.onclose = event => {
      pill($('echo-state'), 'closed');
      note('closed ' + event.code + (event.reason ? ' ' + event.reason : ''));
      if (event.code !== 1008) setTimeout(openEcho, echoDelay = Math.min(echoDelay * 2, 15000));
    };
    echo.onmessage = event => {
      const [sent, ...rest] = event.data.split(' ');
      const ms = performance.now() - Number(sent);
      times.push(ms);
      if (times.length > 100) times.shift();
      const sorted = [...times].sort((a, b) => a - b);
      $('echo-ms').textContent = ms.toFixed(1) + ' ms';
      $('echo-count').textContent = times.length;
      $('echo-median').textContent = sorted[sorted.length >> 1].toFixed(1) + ' ms';
      if (rest.length) note('↩ ' + rest.join(' '));
    };
  };
  const note = line => {
    $('echo-log').prepend(text('li', line));
    while ($('echo-log').children.length > 30) $('echo-log').lastChild.remove();
  };
  const say = words => { if (echo.readyState === 1) echo.send(performance.now() + (words ? ' ' + words : '')); };
  openEcho();
  setInterval(() => { if (!document.hidden) say(''); }, 2000);
  $('echo-form').onsubmit = event => {
    event.preventDefault();
    if ($('echo-text').value) say($('echo-text').value);
    $('echo-text').value = '';
  };

  const result = $('bytes-result');
  const rate = (bytes, ms) => (bytes / 1048576).toFixed(0) + ' MiB in ' + (ms / 1000).toFixed(2) + ' s, '
    + (bytes / 1048576 / (ms / 1000)).toFixed(0) + ' MiB/s';
  const busy = (button, work) => button.onclick = async () => {
    button.disabled = true;
    try { result.textContent = '…'; result.textContent = await work(performance.now()); }
    catch (error) { result.textContent = 'failed: ' + error.message; }
    button.disabled = false;
  };
  busy($('download'), async start => {
    const reader = (await fetch('/download?bytes=' + 64 * 1048576, { cache: 'no-store' })).body.getReader();
    let total = 0;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      total += value.length;
    }
    return 'Down: ' + rate(total, performance.now() - start);
  });
  busy($('upload'), async start => {
    const body = new Uint8Array(16 * 1048576);
    const answer = await (await fetch('/upload', { method: 'POST', body })).json();
    return 'Up: ' + rate(answer.bytes, performance.now() - start) + ' · SHA-256 ' + answer.sha256.slice(0, 16) + '…';
  });
  busy($('slow'), async () => (await fetch('/slow?ms=3000')).text());

  const events = new EventSource('/events');
  events.addEventListener('tick', event => $('ticks').textContent = JSON.parse(event.data).tick + ' s');
  events.onerror = () => $('ticks').textContent = 'reconnecting';

  const ours = /^(x-forwarded-|x-request-id|host)/i;
  fetch('/headers').then(answer => answer.json()).then(({ method, target, headers }) => {
    const row = (name, value) => {
      const line = document.createElement('tr');
      if (ours.test(name)) line.className = 'ours';
      line.append(text('td', name), text('td', value));
      return line;
    };
    $('headers').tBodies[0].replaceChildren(row(method, target), ...headers.map(pair => row(...pair)));
  }).catch(() => {});

  let shell;
  const terminal = new MiniTerminal($('terminal'), {
    data: bytes => { if (shell?.readyState === 1) shell.send(bytes); },
    resize: (columns, rows) => { if (shell?.readyState === 1) shell.send(`resize ${columns} ${rows}`); },
    control: on => document.querySelector('[data-key=Control]').setAttribute('aria-pressed', on),
  });
  const openShell = () => {
    if (shell) { shell.onclose = null; shell.close(); }
    terminal.reset();
    pill($('shell-state'), 'connecting');
    shell = new WebSocket(wsURL('/shell'));
    shell.binaryType = 'arraybuffer';
    shell.onopen = () => { pill($('shell-state'), 'open');
      shell.send(`resize ${terminal.columns} ${terminal.rows}`); };
    shell.onmessage = event => terminal.write(new Uint8Array(event.data));
    shell.onclose = event => {
      pill($('shell-state'), 'closed');
      terminal.write(new TextEncoder().encode('\r\n\x1b[2m[closed ' + event.code
        + (event.reason ? ': ' + event.reason : '') + ']\x1b[0m'));
    };
  };
  openShell();
  $('reconnect').onclick = () => { openShell(); terminal.focus(); };
  $('keys').addEventListener('pointerdown', event => event.preventDefault());
  $('keys').addEventListener('click', event => {
    const key = event.target.dataset.key;
    if (key) { terminal.press(key); terminal.focus(); }
  });
})();
