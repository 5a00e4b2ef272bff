// A repository that tuf-js's own models make and sign, as files:
//
//   node tuf_js_repository.mjs DIRECTORY SCHEME      SCHEME: ed25519, ecdsa-sha2-nistp256 or rsassa-pss-sha256
//
// Three roots, a delegated role with a pattern, hashes of both kinds, fields that nobody knows.
import { createHash, constants, generateKeyPairSync, sign } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

// Resolved from where npm installed it, not from where this file lies.
const require = createRequire(join(process.cwd(), 'package.json'));
const models = require('@tufjs/models');
const { Metadata, Root, Timestamp, Snapshot, Targets, Key, Signature, MetaFile, TargetFile } = models;
const [directory, scheme] = process.argv.slice(2);

function makeKey() {
  const kinds = {
    'ed25519': ['ed25519', {}, 'ed25519'],
    'ecdsa-sha2-nistp256': ['ec', { namedCurve: 'P-256' }, 'ecdsa'],
    'rsassa-pss-sha256': ['rsa', { modulusLength: 2048 }, 'rsa'],
  };
  const [kind, options, keyType] = kinds[scheme];
  const { publicKey, privateKey } = generateKeyPairSync(kind, options);
  const der = publicKey.export({ format: 'der', type: 'spki' });
  const value = kind === 'ed25519' ? der.subarray(der.length - 32).toString('hex') : publicKey.export({ format: 'pem', type: 'spki' });
  const keyID = createHash('sha256').update(value).digest('hex');
  const signer = (data) => {
    const pss = { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
    const sig = kind === 'ed25519' ? sign(null, data, privateKey) : sign('sha256', data, kind === 'rsa' ? pss : privateKey);
    return new Signature({ keyID, sig: sig.toString('hex') });
  };
  return { signer, key: new Key({ keyID, keyType, scheme, keyVal: { public: value } }) };
}

const expires = new Date(Date.now() + 30 * 86_400_000).toISOString().replace(/\.\d+Z/, 'Z');
const common = (version) => ({ version, specVersion: '1.0.31', expires, unrecognizedFields: { 'x-note': { list: [1, null, '\u00fc "\\'] } } });
const digests = (data) => Object.fromEntries(['sha256', 'sha512'].map((name) => [name, createHash(name).update(data).digest('hex')]));

function write(path, data) {
  const full = join(directory, path);
  mkdirSync(dirname(full), { recursive: true });
  writeFileSync(full, data);
  return data;
}

function writeSigned(name, signed, keys) {
  const metadata = new Metadata(signed);
  for (const { signer } of keys) metadata.sign(signer, true);
  return write(`metadata/${name}`, Buffer.from(JSON.stringify(metadata.toJSON(), null, 1)));
}

function target(path, content) {
  const hashes = digests(content);
  const at = path.lastIndexOf('/') + 1;
  for (const hash of Object.values(hashes)) write(`targets/${path.slice(0, at)}${hash}.${path.slice(at)}`, content);
  return new TargetFile({ path, length: content.length, hashes });
}

const describe = (version, data) => new MetaFile({ version, length: data.length, hashes: digests(data) });

const keys = Object.fromEntries(['timestamp', 'snapshot', 'targets', 'role'].map((role) => [role, makeKey()]));
let rootKeys = [];
for (let version = 1; version <= 3; ++version) {
  const fresh = [makeKey(), makeKey()];
  const root = new Root({ ...common(version), consistentSnapshot: true });
  for (const { key } of fresh) root.addKey(key, 'root');
  for (const role of ['timestamp', 'snapshot', 'targets']) root.addKey(keys[role].key, role);
  writeSigned(`${version}.root.json`, root, [...fresh, ...rootKeys]);
  rootKeys = fresh;
}

const plain = new Targets({ ...common(4), targets: { 'file.txt': target('file.txt', Buffer.from('top level')) } });
const top = Targets.fromJSON({
  ...plain.toJSON(),
  delegations: {
    keys: { [keys.role.key.keyID]: keys.role.key.toJSON() },
    roles: [{ name: 'a role', keyids: [keys.role.key.keyID], threshold: 1, terminating: true, paths: ['dir/*'] }],
  },
});
const role = new Targets({ ...common(2), targets: { 'dir/file.bin': target('dir/file.bin', Buffer.alloc(100_000, 7)) } });
const roleData = writeSigned('2.a%20role.json', role, [keys.role]);
const topData = writeSigned('4.targets.json', top, [keys.targets]);
const snapshot = new Snapshot({ ...common(5), meta: { 'targets.json': describe(4, topData), 'a role.json': describe(2, roleData) } });
const snapshotData = writeSigned('5.snapshot.json', snapshot, [keys.snapshot]);
writeSigned('timestamp.json', new Timestamp({ ...common(6), snapshotMeta: describe(5, snapshotData) }), [keys.timestamp]);
