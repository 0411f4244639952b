// A terminal in the browser, as small as a shell, `ls --color`, `less` and `top` need: a grid with scroll-back,
// cursor movement, SGR colours, scroll region and the alternate screen (ECMA-48, and xterm where programs expect it).
// Text goes into the page only as text nodes, whatever the shell prints.
'use strict';

class MiniTerminal {
  constructor(host, on) {
    Object.assign(this, { host, on, columns: 80, rows: 24, control: false });
    this.screen = document.createElement('pre');
    this.keyboard = document.createElement('textarea');
    for (const [name, value] of Object.entries({ autocapitalize: 'off', autocomplete: 'off', autocorrect: 'off',
      spellcheck: 'false', 'aria-label': 'Terminal input' })) this.keyboard.setAttribute(name, value);
    host.append(this.screen, this.keyboard);
    this.reset();
    host.addEventListener('click', () => { if (getSelection().isCollapsed) this.focus(); });
    this.keyboard.addEventListener('keydown', event => this.keyDown(event));
    this.keyboard.addEventListener('input', event => {
      if (event.isComposing) return;
      this.type(this.keyboard.value.replace(/\n/g, '\r'));
      this.keyboard.value = '';
    });
    this.keyboard.addEventListener('compositionend', () => {
      this.type(this.keyboard.value);
      this.keyboard.value = '';
    });
    this.keyboard.addEventListener('paste', event => {
      event.preventDefault();
      const pasted = event.clipboardData.getData('text').replace(/\r?\n/g, '\r');
      this.send(this.bracketed ? '\x1b[200~' + pasted.replaceAll('\x1b', '') + '\x1b[201~' : pasted);
    });
    new ResizeObserver(() => this.fit()).observe(host);
    this.fit();
  }

  reset() {
    Object.assign(this, { x: 0, y: 0, wrapNext: false, top: 0, style: 0, fg: null, bg: null, saved: null,
      state: 0, params: '', history: [], main: null, showCursor: true, autoWrap: true, appKeys: false,
      bracketed: false, decoder: new TextDecoder() });
    this.bottom = this.rows - 1;
    this.grid = Array.from({ length: this.rows }, () => this.blankRow());
    this.draw();
  }

  focus() { this.keyboard.focus({ preventScroll: true }); }

  // Size: one probe line tells how wide a column is.
  fit() {
    const probe = document.createElement('span');
    probe.textContent = 'M'.repeat(50);
    this.screen.append(probe);
    const box = probe.getBoundingClientRect();
    probe.remove();
    if (!box.width) return;
    const inner = this.host.clientWidth - 16, height = this.host.clientHeight - 16;
    const columns = Math.max(20, Math.min(300, Math.floor(inner / (box.width / 50))));
    const rows = Math.max(5, Math.min(100, Math.floor(height / box.height)));
    if (columns === this.columns && rows === this.rows) return;
    this.columns = columns;
    while (this.grid.length > rows) {
      if (this.y < this.grid.length - 1) this.grid.pop();
      else { this.keep(this.grid.shift()); this.y--; }
    }
    while (this.grid.length < rows) this.grid.push(this.blankRow());
    this.rows = rows;
    this.top = 0;
    this.bottom = rows - 1;
    for (const row of this.grid) {
      while (row.length < columns) row.push(this.blank());
      row.length = columns;
    }
    this.main = null;
    this.move(this.x, this.y);
    this.draw();
    this.on.resize(columns, rows);
  }

  blank() { return { c: ' ', s: 0, f: null, b: this.bg }; }
  blankRow() { return Array.from({ length: this.columns }, () => this.blank()); }
  keep(row) { if (!this.main) { this.history.push(row); if (this.history.length > 1000) this.history.shift(); } }
  move(x, y) {
    this.x = Math.max(0, Math.min(this.columns - 1, x));
    this.y = Math.max(0, Math.min(this.rows - 1, y));
    this.wrapNext = false;
  }

  // Input from the shell.
  write(bytes) {
    for (const c of this.decoder.decode(bytes, { stream: true })) this.feed(c);
    this.draw();
  }

  feed(c) {
    const code = c.codePointAt(0);
    if (this.state === 3) { // operating system command: ends with BEL or ST
      if (code === 7 || c === '\\' && this.params === '\x1b') this.state = 0;
      this.params = c;
    } else if (code === 0x1b) { this.state = 1;
    } else if (code < 0x20) { this.controlCode(code);
    } else if (this.state === 1) { this.escape(c);
    } else if (this.state === 2) {
      if (code >= 0x40 && code <= 0x7e) { this.state = 0; this.sequence(c); }
      else if (this.params.length < 64) this.params += c;
    } else if (this.state === 4) { this.state = 0; // the character set's name
    } else if (code !== 0x7f) { this.put(c); }
  }

  controlCode(code) {
    if (code === 7) return;
    if (code === 8) this.move(this.x - 1, this.y);
    else if (code === 9) this.move((this.x >> 3) + 1 << 3, this.y);
    else if (code >= 10 && code <= 12) this.lineFeed();
    else if (code === 13) this.move(0, this.y);
    else if (code === 0x18 || code === 0x1a) this.state = 0;
  }

  put(c) {
    if (/\p{Mark}/u.test(c)) {
      const cell = this.grid[this.y][Math.max(0, this.wrapNext ? this.x : this.x - 1)];
      if (cell.c.length < 16) cell.c += c;
      return;
    }
    if (this.wrapNext && this.autoWrap) { this.move(0, this.y); this.lineFeed(); }
    this.grid[this.y][this.x] = { c, s: this.style, f: this.fg, b: this.bg };
    if (this.x === this.columns - 1) this.wrapNext = true; else this.x++;
  }

  lineFeed() {
    if (this.y === this.bottom) this.scrollUp(1); else this.move(this.x, this.y + 1);
  }

  scrollUp(count) {
    for (let n = Math.min(count, this.rows); n > 0; n--) {
      const [row] = this.grid.splice(this.top, 1);
      if (this.top === 0) this.keep(row);
      this.grid.splice(this.bottom, 0, this.blankRow());
    }
  }

  scrollDown(count, from = this.top) {
    for (let n = Math.min(count, this.rows); n > 0; n--) {
      this.grid.splice(this.bottom, 1);
      this.grid.splice(from, 0, this.blankRow());
    }
  }

  escape(c) {
    this.state = 0;
    this.params = '';
    switch (c) {
      case '[': this.state = 2; break;
      case ']': case 'P': case '^': case '_': case 'X': this.state = 3; break;
      case '(': case ')': case '*': case '+': case '#': case '%': case ' ': this.state = 4; break;
      case '7': this.saved = [this.x, this.y, this.style, this.fg, this.bg]; break;
      case '8': this.restore(); break;
      case 'c': this.reset(); break;
      case 'D': this.lineFeed(); break;
      case 'E': this.move(0, this.y); this.lineFeed(); break;
      case 'M': if (this.y === this.top) this.scrollDown(1); else this.move(this.x, this.y - 1); break;
    }
  }

  restore() {
    const [x, y, style, fg, bg] = this.saved || [0, 0, 0, null, null];
    Object.assign(this, { style, fg, bg });
    this.move(x, y);
  }

  sequence(final) {
    const isPrivate = /^[?>=<]/.test(this.params);
    const given = this.params.replace(/^[?>=<]/, '').split(/[;:]/).map(n => Math.min(parseInt(n, 10) || 0, 9999));
    const one = given[0] || 1, row = this.grid[this.y];
    if (isPrivate && final !== 'h' && final !== 'l') return;
    switch (final) {
      case 'A': this.move(this.x, Math.max(this.y - one, this.y >= this.top ? this.top : 0)); break;
      case 'B': case 'e':
        this.move(this.x, Math.min(this.y + one, this.y <= this.bottom ? this.bottom : this.rows - 1)); break;
      case 'C': case 'a': this.move(this.x + one, this.y); break;
      case 'D': this.move(this.x - one, this.y); break;
      case 'E': this.move(0, this.y + one); break;
      case 'F': this.move(0, this.y - one); break;
      case 'G': case '`': this.move(one - 1, this.y); break;
      case 'H': case 'f': this.move((given[1] || 1) - 1, one - 1); break;
      case 'd': this.move(this.x, one - 1); break;
      case 'J': this.eraseScreen(given[0]); break;
      case 'K': this.erase(row, given[0] ? 0 : this.x, given[0] === 1 ? this.x + 1 : this.columns); break;
      case 'X': this.erase(row, this.x, Math.min(this.columns, this.x + one)); break;
      case 'P': row.splice(this.x, one); while (row.length < this.columns) row.push(this.blank()); break;
      case '@':
        row.splice(this.x, 0, ...Array.from({ length: Math.min(one, this.columns) }, () => this.blank()));
        row.length = this.columns;
        break;
      case 'L': if (this.y >= this.top && this.y <= this.bottom) this.scrollDown(one, this.y); break;
      case 'M': this.deleteLines(one); break;
      case 'S': this.scrollUp(one); break;
      case 'T': this.scrollDown(one); break;
      case 'r':
        this.top = Math.min(one, this.rows) - 1;
        this.bottom = Math.min(given[1] || this.rows, this.rows) - 1;
        if (this.top >= this.bottom) { this.top = 0; this.bottom = this.rows - 1; }
        this.move(0, 0);
        break;
      case 's': this.saved = [this.x, this.y, this.style, this.fg, this.bg]; break;
      case 'u': this.restore(); break;
      case 'm': this.graphics(given); break;
      case 'n': if (given[0] === 6) this.send(`\x1b[${this.y + 1};${this.x + 1}R`); break;
      case 'c': this.send('\x1b[?6c'); break;
      case 'h': case 'l': if (isPrivate) for (const mode of given) this.mode(mode, final === 'h'); break;
    }
  }

  erase(row, from, to) { for (let x = from; x < to; x++) row[x] = this.blank(); }

  eraseScreen(what) {
    if (what === 3) this.history = [];
    const from = what ? 0 : this.y + 1, to = what === 1 ? this.y : this.rows;
    if (!what) this.erase(this.grid[this.y], this.x, this.columns);
    if (what === 1) this.erase(this.grid[this.y], 0, this.x + 1);
    for (let y = from; y < to; y++) this.grid[y] = this.blankRow();
  }

  deleteLines(count) {
    if (this.y < this.top || this.y > this.bottom) return;
    for (let n = Math.min(count, this.rows); n > 0; n--) {
      this.grid.splice(this.y, 1);
      this.grid.splice(this.bottom, 0, this.blankRow());
    }
  }

  mode(mode, on) {
    if (mode === 1) this.appKeys = on;
    else if (mode === 7) this.autoWrap = on;
    else if (mode === 25) this.showCursor = on;
    else if (mode === 2004) this.bracketed = on;
    else if ((mode === 47 || mode === 1047 || mode === 1049) && on !== !!this.main) {
      if (on) {
        this.main = { grid: this.grid, x: this.x, y: this.y };
        this.grid = Array.from({ length: this.rows }, () => this.blankRow());
      } else {
        const { grid, x, y } = this.main;
        this.main = null;
        this.grid = grid;
        this.move(x, y);
      }
    }
  }

  // SGR. Style bits: 1 bold, 2 dim, 4 italic, 8 underline, 16 inverse, 32 struck through.
  graphics(given) {
    const set = { 1: 1, 2: 2, 3: 4, 4: 8, 7: 16, 9: 32 }, unset = { 22: 3, 23: 4, 24: 8, 27: 16, 29: 32 };
    for (let i = 0; i < given.length; i++) {
      const n = given[i];
      if (n === 0) { this.style = 0; this.fg = this.bg = null; }
      else if (set[n]) this.style |= set[n];
      else if (unset[n]) this.style &= ~unset[n];
      else if (n >= 30 && n <= 37) this.fg = n - 30;
      else if (n >= 40 && n <= 47) this.bg = n - 40;
      else if (n >= 90 && n <= 97) this.fg = n - 82;
      else if (n >= 100 && n <= 107) this.bg = n - 92;
      else if (n === 39) this.fg = null;
      else if (n === 49) this.bg = null;
      else if (n === 38 || n === 48) {
        let colour = null;
        if (given[i + 1] === 5) { colour = given[i + 2] & 255; i += 2; }
        else if (given[i + 1] === 2) {
          colour = '#' + given.slice(i + 2, i + 5).map(v => (v & 255).toString(16).padStart(2, '0')).join('');
          i += 4;
        }
        if (n === 38) this.fg = colour; else this.bg = colour;
      }
    }
  }

  colour(value) {
    if (typeof value === 'string') return value.length === 7 ? value : null;
    if (value === null) return null;
    if (value < 16) return MiniTerminal.palette[value];
    if (value >= 232) { const grey = 8 + (value - 232) * 10; return `rgb(${grey},${grey},${grey})`; }
    const cube = n => n ? 55 + n * 40 : 0, index = value - 16;
    return `rgb(${cube(Math.floor(index / 36))},${cube(Math.floor(index / 6) % 6)},${cube(index % 6)})`;
  }

  // Drawing: at most once a frame, runs of equal cells as one span.
  draw() {
    if (this.pending) return;
    this.pending = requestAnimationFrame(() => { this.pending = 0; this.render(); });
  }

  render() {
    const atEnd = this.host.scrollHeight - this.host.scrollTop - this.host.clientHeight < 40;
    const page = document.createDocumentFragment();
    const rows = this.main ? this.grid : [...this.history, ...this.grid];
    const cursorRow = rows.length - this.rows + this.y;
    rows.forEach((row, y) => this.renderRow(page, row, y === cursorRow && this.showCursor ? this.x : -1));
    this.screen.replaceChildren(page);
    this.keyboard.style.top = 8 + cursorRow * 16.9 + 'px';
    if (atEnd) this.host.scrollTop = this.host.scrollHeight;
  }

  renderRow(page, row, cursor) {
    let end = row.length;
    while (end > 0 && end - 1 !== cursor && row[end - 1].c === ' ' && row[end - 1].b === null
      && !(row[end - 1].s & 24)) end--;
    for (let x = 0; x < end;) {
      const first = row[x], start = x;
      let run = '';
      do run += row[x++].c; while (x < end && start !== cursor && x !== cursor && row[x].s === first.s
        && row[x].f === first.f && row[x].b === first.b);
      page.append(start === cursor || first.s || first.f !== null || first.b !== null
        ? this.span(run, first, start === cursor) : run);
    }
    page.append('\n');
  }

  span(run, { s, f, b }, isCursor) {
    const node = document.createElement('span');
    node.textContent = run;
    let ink = this.colour(s & 1 && typeof f === 'number' && f < 8 ? f + 8 : f), paper = this.colour(b);
    if (s & 16) [ink, paper] = [paper || 'var(--term)', ink || '#d7e2de'];
    if (isCursor) { node.className = 'cursor'; return node; }
    if (ink) node.style.color = ink;
    if (paper) node.style.background = paper;
    if (s & 1) node.style.fontWeight = '600';
    if (s & 2) node.style.opacity = '.6';
    if (s & 4) node.style.fontStyle = 'italic';
    if (s & 40) node.style.textDecoration = (s & 8 ? 'underline ' : '') + (s & 32 ? 'line-through' : '');
    return node;
  }

  // Input from the user.
  send(text) { this.on.data(new TextEncoder().encode(text)); this.host.scrollTop = this.host.scrollHeight; }

  type(text) {
    if (this.control && text.length === 1) {
      const code = text.toUpperCase().charCodeAt(0);
      if (code >= 64 && code < 96) text = String.fromCharCode(code & 31);
    }
    if (this.control) this.setControl(false);
    if (text) this.send(text);
  }

  setControl(on) { this.control = on; this.on.control(on); }

  press(key) {
    const arrow = { ArrowUp: 'A', ArrowDown: 'B', ArrowRight: 'C', ArrowLeft: 'D', Home: 'H', End: 'F' }[key];
    const other = { Enter: '\r', Tab: '\t', Escape: '\x1b', Backspace: '\x7f', Delete: '\x1b[3~', Insert: '\x1b[2~',
      PageUp: '\x1b[5~', PageDown: '\x1b[6~' }[key];
    if (key === 'Control') this.setControl(!this.control);
    else if (arrow) this.send((this.appKeys ? '\x1bO' : '\x1b[') + arrow);
    else if (other) this.send(other);
    else return false;
    return true;
  }

  keyDown(event) {
    if (event.isComposing || event.metaKey || event.key === 'Control') return;
    if (event.ctrlKey && !event.altKey && event.key.length === 1) {
      // Ctrl+Shift+C and V, and Ctrl+C over a selection, stay the browser's.
      if (event.shiftKey || event.key === 'v' || event.key === 'c' && !getSelection().isCollapsed) return;
      const code = event.key.toUpperCase().charCodeAt(0);
      if (code === 32 || code >= 64 && code < 96) this.send(String.fromCharCode(code & 31));
      else return;
    } else if (event.altKey && !event.ctrlKey && event.key.length === 1) { this.send('\x1b' + event.key);
    } else if (event.shiftKey && event.key === 'Tab') { this.send('\x1b[Z');
    } else if (event.ctrlKey || !this.press(event.key)) { return; }
    event.preventDefault();
  }
}
MiniTerminal.palette = ['#20302d', '#e06c5a', '#7fc77a', '#d9b25f', '#6ba7e5', '#c58ad9', '#5cc5c0', '#cfdad6',
  '#6b7d78', '#f28b78', '#9bdd94', '#f0cc7e', '#8dbff2', '#d9a6ea', '#7fdcd7', '#f5faf8'];
