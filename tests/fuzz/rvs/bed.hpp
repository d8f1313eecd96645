// SPDX-License-Identifier: Apache-2.0
//
// A switch and its guests' memory in one stretch of addresses, and a watch over every load and
// store that the switch's code makes: it is compiled so that ASan's checks call us
// (CMakeLists.txt). That gives two things.
//
//   Every access is judged when it happens. Of guests' memory the switch may read the caller's
//   registered regions, and beyond that touch what allow() names: nothing else, not for an
//   instant, and no write that happens to store what was there. Elsewhere it has its own state,
//   its stack and its constants.
//
//   What was written is known line by line, so reset() costs what an execution wrote, not what
//   there is, and every execution starts from the same state.
//
//   base_                                                                    end
//   | switch | - | port 0 region 0 | - | port 0 region 1 | - | port 1 ... | - |     -: no access
#ifndef TESTS_FUZZ_RVS_BED_HPP
#define TESTS_FUZZ_RVS_BED_HPP

#include "rvs/switch.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace rvs {
class Core;
}

namespace rvs::fuzz {

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            std::fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);         \
            std::abort();                                                                          \
        }                                                                                          \
    } while (false)

inline constexpr std::uint32_t regions = 2;
inline constexpr std::uint64_t region_len[regions] = {0x34000, 0x4000};

class Bed {
  public:
    explicit Bed(std::uint32_t ports);
    Bed(const Bed &) = delete;
    Bed &operator=(const Bed &) = delete;

    Switch *operator->() const { return switch_; }
    [[nodiscard]] const Core &core() const;

    // The state that reset() goes back to is the one now.
    void keep();
    // Every so often everything is compared with what was kept, whatever the watch has seen.
    void reset();

    [[nodiscard]] std::uint64_t base(std::uint32_t port, std::uint32_t region) const
    {
        return base_ + place(port, region);
    }
    [[nodiscard]] const std::uint8_t *at(std::uint32_t port, std::uint32_t region,
                                         std::uint64_t offset) const
    {
        return reinterpret_cast<const std::uint8_t *>(base(port, region) + offset);
    }
    // The guest's own writing. What does not fit into the region is left out.
    void write(std::uint32_t port, std::uint32_t region, std::uint64_t offset, const void *from,
               std::size_t len);

    // ------------------------------------------------------------------ what a call may touch

    // Registered regions of the port that is calling: it may read them.
    void enter(std::uint32_t port, std::uint32_t readable_regions);
    void allow_read(std::uint32_t port, std::uint32_t region, std::uint64_t offset,
                    std::uint64_t len);
    // 8-aligned.
    void allow_write(std::uint32_t port, std::uint32_t region, std::uint64_t offset,
                     std::uint64_t len);
    // Nobody is in the switch: it may touch no guest's memory.
    void leave();

    // While the switch makes its `load`th load of guests' memory from now on, another CPU of the
    // guest writes there. Up to `most_races` for a call.
    struct Race {
        std::uint32_t load;
        std::uint32_t port;
        std::uint32_t region;
        std::uint64_t offset;
        std::uint64_t value;
        std::uint32_t len; // 4, 8
    };
    static constexpr std::size_t most_races = 4;
    // Called when it has happened.
    using Raced = void (*)(void *context, const Race &race);
    void race(const Race &race);
    void on_race(Raced raced, void *context)
    {
        raced_ = raced;
        context_ = context;
    }

    // ------------------------------------------------------------------ for the hooks in bed.cpp
    bool loads(std::uint64_t address, std::uint64_t len);
    bool stores(std::uint64_t address, std::uint64_t len);

  private:
    static constexpr std::uint64_t page = 4096;
    static constexpr std::uint64_t line = 64;
    static constexpr std::uint64_t granule = 8;
    static constexpr std::uint8_t readable =
        0x80; // below: how many of its first bytes are writable
    static constexpr std::uint8_t no_region = 0xff;

    [[nodiscard]] std::uint64_t place(std::uint32_t port, std::uint32_t region) const
    {
        return guests_ + port * port_stride + region * (region_len[0] + page);
    }
    static constexpr std::uint64_t port_stride = region_len[0] + region_len[1] + 2 * page;

    void written(std::uint64_t offset, std::uint64_t len);
    [[nodiscard]] bool elsewhere(std::uint64_t address, std::uint64_t len) const;
    // The region that offset .. offset + len lies in.
    std::uint8_t region_of(std::uint64_t offset, std::uint64_t len) const;
    [[noreturn]] void forbidden(const char *what, std::uint64_t address, std::uint64_t len) const;

    std::uint32_t ports_;
    std::uint64_t base_ = 0;
    std::uint64_t own_ = 0;    // bytes of the switch
    std::uint64_t guests_ = 0; // offset of the first region
    std::uint64_t size_ = 0;
    std::uint64_t stack_ = 0;
    std::uint64_t stack_end_ = 0;
    Switch *switch_ = nullptr;
    std::vector<std::uint8_t> kept_;
    std::vector<std::uint8_t> dirty_;     // by line
    std::vector<std::uint32_t> lines_;    // that are dirty
    std::vector<std::uint8_t> owner_;     // by page: port * regions + region, or no_region
    std::vector<std::uint8_t> allowed_;   // by granule
    std::vector<std::uint32_t> granules_; // runs that are allowed: from, to
    std::uint32_t readable_ = 0;          // by owner: bit
    std::uint64_t executions_ = 0;
    std::uint64_t load_ = 0;
    std::vector<Race> races_;
    Raced raced_ = nullptr;
    void *context_ = nullptr;
};

} // namespace rvs::fuzz

#endif // TESTS_FUZZ_RVS_BED_HPP
