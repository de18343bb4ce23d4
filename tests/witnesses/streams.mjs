// The host that the command-line program streams usage to, whatever `--api-base` says: a proxy that stands for this host
// alone and hands its requests to the sandbox. Its certificate lives as long as it, and only that program trusts it.

import { generateKeyPairSync, sign } from "node:crypto";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import { join } from "node:path";
import { TLSSocket } from "node:tls";

const HOST = "meter-events.stripe.com";

/** A value of ASN.1 in its distinguished encoding (X.690). */
function der(tag, ...parts) {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)));
  const long = body.length > 0xff ? [0x82, body.length >> 8, body.length & 0xff] : [0x81, body.length];
  return Buffer.concat([Buffer.from([tag, ...(body.length < 0x80 ? [body.length] : long)]), body]);
}

/** A key and a certificate of its own signature for a host (RFC 5280), as PEM. */
function selfSigned(host) {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const [SEQUENCE, SET, INTEGER, OID, UTC_TIME, TEXT] = [0x30, 0x31, 0x02, 0x06, 0x17, 0x0c];
  const signed = der(SEQUENCE, der(OID, [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02])); // ecdsa-with-SHA256
  const named = der(SEQUENCE, der(OID, [0x55, 0x04, 0x03]), der(TEXT, "Quittance tests")); // commonName
  const name = der(SEQUENCE, der(SET, named));
  const alternative = der(0x04, der(SEQUENCE, der(0x82, host)));
  const extension = der(SEQUENCE, der(OID, [0x55, 0x1d, 0x11]), alternative); // subjectAltName
  const body = der(
    SEQUENCE,
    der(0xa0, der(INTEGER, [2])), // version 3
    der(INTEGER, [1]),
    signed,
    name,
    der(SEQUENCE, der(UTC_TIME, "200101000000Z"), der(UTC_TIME, "491231235959Z")),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, der(SEQUENCE, extension)),
  );
  const whole = der(SEQUENCE, body, signed, der(0x03, [0], sign("sha256", body, privateKey)));
  const lines = whole.toString("base64").match(/.{1,64}/g).join("\n");
  const cert = `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
  return { key: privateKey.export({ type: "pkcs8", format: "pem" }), cert };
}

/** Starts the proxy in front of a sandbox; its certificate is written into a folder. */
export async function startStreams(sandbox, folder) {
  const pair = selfSigned(HOST);
  const certificate = join(folder, "streams.pem");
  await writeFile(certificate, pair.cert);
  const host = createServer((asked, answer) => {
    const { method, url: path, headers } = asked;
    const passed = request(sandbox.url + path, { method, headers }, (said) => {
      answer.writeHead(said.statusCode, said.headers);
      said.pipe(answer);
    });
    passed.on("error", () => answer.destroy());
    asked.pipe(passed);
  });
  const open = new Set();
  const proxy = createServer((_, answer) => answer.writeHead(502).end());
  proxy.on("connect", (asked, socket) => {
    open.add(socket.on("close", () => open.delete(socket)).on("error", () => {}));
    if (asked.url !== `${HOST}:443`) return socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n");
    socket.write("HTTP/1.1 200 OK\r\n\r\n");
    const secure = new TLSSocket(socket, { isServer: true, ...pair });
    host.emit("connection", secure.on("error", () => socket.destroy()));
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const stop = () => {
    for (const socket of open) socket.destroy();
    proxy.close();
  };
  return { url: `http://127.0.0.1:${proxy.address().port}`, certificate, stop };
}
