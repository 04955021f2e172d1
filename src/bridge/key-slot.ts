// Which of the 16,384 slots of a Redis Cluster has a key: CRC-16/XMODEM of its name, or of the part between the first
// braces that have something between them [Redis cluster specification, "Hash tags"].

export const CLUSTER_SLOTS = 16_384
const POLYNOMIAL = 0x1021

const table = Uint16Array.from({ length: 256 }, (_, byte) => {
  let value = byte << 8
  for (let bit = 0; bit < 8; bit++) value = value & 0x8000 ? (value << 1) ^ POLYNOMIAL : value << 1
  return value & 0xffff
})

export function keySlotOf(key: string): number {
  const open = key.indexOf('{')
  const close = open < 0 ? -1 : key.indexOf('}', open + 1)
  const bytes = Buffer.from(close > open + 1 ? key.slice(open + 1, close) : key)
  let sum = 0
  for (const byte of bytes) sum = ((sum << 8) & 0xffff) ^ (table[(sum >> 8) ^ byte] as number)
  return sum % CLUSTER_SLOTS
}
