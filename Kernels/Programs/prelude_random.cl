// prelude_random — compiled after prelude.cl in front of the programs that draw random numbers.

// Ten rounds of Philox-4x32 (Salmon et al., 2011), as Sources/KeelBackend/Philox.swift: words
// 4 * block ..< 4 * block + 4 of the sequence named by key, stream and step.
static inline uint4 keel_philox(const uint block, const uint4 key_and_step, const uint stream)
{
  uint4 counter = (uint4)(block, stream, key_and_step.zw);
  uint2 key = key_and_step.xy;
  for (uint round = 0; round < 10; ++round) {
    counter = (uint4)(
        mul_hi(0xCD9E8D57u, counter.z) ^ counter.y ^ key.x, 0xCD9E8D57u * counter.z,
        mul_hi(0xD2511F53u, counter.x) ^ counter.w ^ key.y, 0xD2511F53u * counter.x);
    key += (uint2)(0x9E3779B9u, 0xBB67AE85u);
  }
  return counter;
}

// Sixteen blocks from `block` on at once, their 64 words in order. Each 32-bit word sits in the
// low half of a lane of 64, where CPUs multiply without loss. What a round leaves in the high
// halves is not cleared but never read: the masks in front of the products cost nothing. Two
// chains of eight blocks hide the latency of the products.
static inline void keel_philox_many(
    const uint block, const uint4 key_and_step, const uint stream, uint16 *words)
{
  const ulong mask = 0xFFFFFFFFul;
  ulong8 a[2], b[2], c[2], d[2];
#pragma unroll
  for (uint j = 0; j < 2; ++j) {
    a[j] = convert_ulong8((uint8)(block + 8 * j) + (uint8)(0, 1, 2, 3, 4, 5, 6, 7));
    b[j] = (ulong8)(stream);
    c[j] = (ulong8)(key_and_step.z);
    d[j] = (ulong8)(key_and_step.w);
  }
  uint2 key = key_and_step.xy;
#pragma unroll
  for (uint round = 0; round < 10; ++round) {
#pragma unroll
    for (uint j = 0; j < 2; ++j) {
      const ulong8 first = (a[j] & mask) * (ulong)0xD2511F53u;
      const ulong8 second = (c[j] & mask) * (ulong)0xCD9E8D57u;
      a[j] = (second >> 32) ^ b[j] ^ (ulong)key.x;
      b[j] = second;
      c[j] = (first >> 32) ^ d[j] ^ (ulong)key.y;
      d[j] = first;
    }
    key += (uint2)(0x9E3779B9u, 0xBB67AE85u);
  }
#pragma unroll
  for (uint j = 0; j < 2; ++j) {
    const uint16 ab = as_uint16((a[j] & mask) | (b[j] << 32));
    const uint16 cd = as_uint16((c[j] & mask) | (d[j] << 32));
    words[2 * j] = (uint16)(
        ab.s01, cd.s01, ab.s23, cd.s23, ab.s45, cd.s45, ab.s67, cd.s67);
    words[2 * j + 1] = (uint16)(
        ab.s89, cd.s89, ab.sab, cd.sab, ab.scd, cd.scd, ab.sef, cd.sef);
  }
}
