// Prefix codes as the family builds them: which of several equally short codes it takes, and how it
// repairs one that has become too long, is part of what a stream looks like.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace layby::delta {

inline constexpr std::size_t kLiteralCodes = 286;  // literals, the end of a block, lengths
inline constexpr std::size_t kDistanceCodes = 30;
inline constexpr std::size_t kLengthOfLengthCodes = 19;
inline constexpr std::uint32_t kEndOfBlock = 256;
inline constexpr unsigned kCodeBitsMax = 15;

// In which order the lengths of the code for lengths are written (RFC 1951, 3.2.7).
inline constexpr std::array<std::uint8_t, kLengthOfLengthCodes> kLengthOrder = {
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};

struct PrefixCode {
  std::array<std::uint8_t, 288> bits{};
  std::array<std::uint16_t, 288> code{};  // the first bit of the code is the lowest
  std::uint32_t symbols = 0;              // up to the last one that has a code
};

// The code for symbols that occur `counts` times, with at most `bits_max` bits. At least two
// symbols get a code. At most kLiteralCodes counts, with a sum below 2^16.
PrefixCode build_code(std::span<const std::uint32_t> counts, unsigned bits_max);

const PrefixCode& fixed_literal_code();
const PrefixCode& fixed_distance_code();

// Which code a length or a distance has, and what follows it (RFC 1951, 3.2.5).
struct ExtraBits {
  std::uint16_t first;
  std::uint8_t bits;
};
inline constexpr std::array<ExtraBits, 29> kLengthExtra = {
    {{3, 0},  {4, 0},  {5, 0},  {6, 0},   {7, 0},   {8, 0},   {9, 0},   {10, 0},  {11, 1}, {13, 1},
     {15, 1}, {17, 1}, {19, 2}, {23, 2},  {27, 2},  {31, 2},  {35, 3},  {43, 3},  {51, 3}, {59, 3},
     {67, 4}, {83, 4}, {99, 4}, {115, 4}, {131, 5}, {163, 5}, {195, 5}, {227, 5}, {258, 0}}};
inline constexpr std::array<ExtraBits, kDistanceCodes> kDistanceExtra = {
    {{1, 0},     {2, 0},     {3, 0},     {4, 0},      {5, 1},      {7, 1},
     {9, 2},     {13, 2},    {17, 3},    {25, 3},     {33, 4},     {49, 4},
     {65, 5},    {97, 5},    {129, 6},   {193, 6},    {257, 7},    {385, 7},
     {513, 8},   {769, 8},   {1025, 9},  {1537, 9},   {2049, 10},  {3073, 10},
     {4097, 11}, {6145, 11}, {8193, 12}, {12289, 12}, {16385, 13}, {24577, 13}}};

std::uint32_t length_code(std::uint32_t length);      // 0 to 28
std::uint32_t distance_code(std::uint32_t distance);  // 0 to 29

}  // namespace layby::delta
