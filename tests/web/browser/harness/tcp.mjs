// A TCP proxy in front of the server's HTTP port whose cable can be pulled: what is under way waits, as it
// does in a network that drops everything, and arrives when the cable is back.

import net from 'node:net';

export class TcpProxy {
  /** @param {number} port of the server on loopback */
  static async start(port) {
    const self = new TcpProxy();
    self.isCut = false;
    /** @type {Set<[net.Socket, net.Socket]>} */
    self.pairs = new Set();
    self.server = net.createServer((client) => {
      const upstream = net.connect(port, '127.0.0.1');
      const pair = /** @type {[net.Socket, net.Socket]} */ ([client, upstream]);
      self.pairs.add(pair);
      for (const [from, to] of [pair, [upstream, client]]) {
        from.setNoDelay(true);
        from.on('data', (data) => to.write(data));
        from.on('end', () => to.end());
        from.on('error', () => to.destroy());
        from.on('close', () => {
          to.destroy();
          self.pairs.delete(pair);
        });
        if (self.isCut) from.pause();
      }
    });
    await new Promise((done) => self.server.listen(0, '127.0.0.1', () => done(undefined)));
    self.port = /** @type {net.AddressInfo} */ (self.server.address()).port;
    self.url = `http://127.0.0.1:${self.port}`;
    return self;
  }

  /** Pulls the cable, or puts it back. @param {boolean} isCut */
  cut(isCut) {
    this.isCut = isCut;
    for (const socket of [...this.pairs].flat()) {
      if (isCut) socket.pause();
      else socket.resume();
    }
  }

  async close() {
    for (const socket of [...this.pairs].flat()) socket.destroy();
    await new Promise((done) => this.server.close(done));
  }
}
