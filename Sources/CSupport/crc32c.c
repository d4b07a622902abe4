#include "csupport.h"
#include <string.h>

// Built at compile time would be larger than the code that builds it; 256 entries are made once on first use.
static uint32_t table[256];
__attribute__((constructor)) static void make_table(void) {
  for (uint32_t n = 0; n < 256; n++) {
    uint32_t c = n;
    for (int k = 0; k < 8; k++) c = (c & 1) ? (c >> 1) ^ 0x82F63B78u : c >> 1;
    table[n] = c;
  }
}

uint32_t paceline_crc32c_portable(uint32_t seed, const void *bytes, size_t count) {
  const uint8_t *p = bytes;
  uint32_t crc = ~seed;
  while (count--) crc = table[(crc ^ *p++) & 0xFF] ^ (crc >> 8);
  return ~crc;
}

#if defined(__x86_64__)
#include <nmmintrin.h>
__attribute__((target("sse4.2"))) static uint32_t hardware(uint32_t seed, const void *bytes, size_t count) {
  const uint8_t *p = bytes;
  uint64_t crc = (uint32_t)~seed;
  while (count >= 8) {
    uint64_t word;
    memcpy(&word, p, 8);
    crc = _mm_crc32_u64(crc, word);
    p += 8;
    count -= 8;
  }
  uint32_t tail = (uint32_t)crc;
  while (count--) tail = _mm_crc32_u8(tail, *p++);
  return ~tail;
}
static int has_hardware;
__attribute__((constructor)) static void detect(void) { has_hardware = __builtin_cpu_supports("sse4.2"); }
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
static uint32_t hardware(uint32_t seed, const void *bytes, size_t count) {
  const uint8_t *p = bytes;
  uint32_t crc = ~seed;
  while (count >= 8) {
    uint64_t word;
    memcpy(&word, p, 8);
    crc = __crc32cd(crc, word);
    p += 8;
    count -= 8;
  }
  while (count--) crc = __crc32cb(crc, *p++);
  return ~crc;
}
static const int has_hardware = 1;
#else
static uint32_t hardware(uint32_t seed, const void *bytes, size_t count) {
  return paceline_crc32c_portable(seed, bytes, count);
}
static const int has_hardware = 0;
#endif

uint32_t paceline_crc32c(uint32_t seed, const void *bytes, size_t count) {
  return has_hardware ? hardware(seed, bytes, count) : paceline_crc32c_portable(seed, bytes, count);
}
