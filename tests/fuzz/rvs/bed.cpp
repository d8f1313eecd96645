// SPDX-License-Identifier: Apache-2.0
#include "bed.hpp"

#include "core.hpp"

#include <algorithm>
#include <pthread.h>
#include <sanitizer/common_interface_defs.h>
#include <sys/mman.h>

extern "C" const char __executable_start; // NOLINT: the linker's names
extern "C" const char _end;               // NOLINT

namespace rvs::fuzz {

namespace {

Bed *watching = nullptr;
// Of it, for the most frequent cases: the switch's own state, and the stack.
std::uint64_t own_from = 0;
std::uint64_t own_len = 0;
std::uint8_t *own_dirty = nullptr;
std::uint64_t stack_from = 0;
std::uint64_t stack_len = 0;

bool is_own(std::uint64_t address)
{
    return address - own_from < own_len;
}
bool is_stack(std::uint64_t address)
{
    return address - stack_from < stack_len;
}
// It and its line have been written to before.
bool is_written(std::uint64_t address, std::uint64_t len)
{
    const std::uint64_t offset = address - own_from;
    return is_own(address) && own_dirty[offset / 64] != 0 && offset % 64 + len <= 64;
}

Limits limits()
{
    Limits limits;
    limits.fdb_entries = 64;
    limits.clock_hz = std::uint64_t{1} << 40; // hardly any time passes while an execution lasts
    return limits;
}

} // namespace

Bed::Bed(std::uint32_t ports) : ports_{ports}
{
    CHECK(watching == nullptr);
    watching = this;
    pthread_attr_t attributes;
    void *stack = nullptr;
    std::size_t len = 0;
    CHECK(pthread_getattr_np(pthread_self(), &attributes) == 0);
    CHECK(pthread_attr_getstack(&attributes, &stack, &len) == 0);
    pthread_attr_destroy(&attributes);
    stack_ = reinterpret_cast<std::uint64_t>(stack);
    stack_end_ = stack_ + len;
    stack_from = stack_;
    stack_len = len - line; // whatever begins there ends in it

    const auto up = [](std::uint64_t n) { return (n + page - 1) / page * page; };
    own_ = up(Switch::footprint(limits()));
    guests_ = own_ + page;
    size_ = guests_ + ports_ * port_stride;
    CHECK(ports_ * regions <= 32);

    // Far from anything else: what leaves it by a little meets nothing.
    constexpr std::uint64_t around = std::uint64_t{1} << 32;
    void *map = mmap(nullptr, size_ + 2 * around, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(map != MAP_FAILED);
    base_ = reinterpret_cast<std::uint64_t>(map) + around;
    own_from = base_;
    own_len = own_ - line; // whatever begins there ends in it
    CHECK(mprotect(reinterpret_cast<void *>(base_), own_, PROT_READ | PROT_WRITE) == 0);
    owner_.assign(size_ / page, no_region);
    for (std::uint32_t p = 0; p < ports_; ++p) {
        for (std::uint32_t r = 0; r < regions; ++r) {
            CHECK(mprotect(reinterpret_cast<void *>(base(p, r)), region_len[r],
                           PROT_READ | PROT_WRITE) == 0);
            std::fill_n(owner_.begin() + static_cast<std::ptrdiff_t>(place(p, r) / page),
                        region_len[r] / page, static_cast<std::uint8_t>(p * regions + r));
        }
    }
    kept_.resize(size_);
    dirty_.resize(size_ / line);
    own_dirty = dirty_.data();
    allowed_.resize(size_ / granule);

    switch_ = Switch::create(reinterpret_cast<void *>(base_), own_, limits());
    CHECK(switch_ != nullptr);
    // The same every time, so that a finding can be repeated.
    static_cast<Core *>(switch_)->seed = 0x0123456789abcdef;
}

const Core &Bed::core() const
{
    return static_cast<const Core &>(*switch_);
}

void Bed::keep()
{
    std::memcpy(kept_.data(), reinterpret_cast<void *>(base_), own_);
    for (std::uint32_t p = 0; p < ports_; ++p) {
        for (std::uint32_t r = 0; r < regions; ++r)
            std::memcpy(kept_.data() + place(p, r), at(p, r, 0), region_len[r]);
    }
    for (const std::uint32_t l : lines_)
        dirty_[l] = 0;
    lines_.clear();
}

void Bed::reset()
{
    leave();
    for (const std::uint32_t l : lines_) {
        std::memcpy(reinterpret_cast<void *>(base_ + l * line), kept_.data() + l * line, line);
        dirty_[l] = 0;
    }
    lines_.clear();

    constexpr std::uint64_t every = 4096;
    if (++executions_ % every != 0)
        return;
    CHECK(std::memcmp(kept_.data(), reinterpret_cast<void *>(base_), own_) == 0);
    for (std::uint32_t p = 0; p < ports_; ++p) {
        for (std::uint32_t r = 0; r < regions; ++r)
            CHECK(std::memcmp(kept_.data() + place(p, r), at(p, r, 0), region_len[r]) == 0);
    }
}

void Bed::written(std::uint64_t offset, std::uint64_t len)
{
    for (std::uint64_t l = offset / line; l <= (offset + len - 1) / line; ++l) {
        if (dirty_[l] == 0) {
            dirty_[l] = 1;
            lines_.push_back(static_cast<std::uint32_t>(l));
        }
    }
}

void Bed::write(std::uint32_t port, std::uint32_t region, std::uint64_t offset, const void *from,
                std::size_t len)
{
    if (offset >= region_len[region])
        return;
    len = std::min<std::uint64_t>(len, region_len[region] - offset);
    if (len == 0)
        return;
    written(place(port, region) + offset, len);
    std::memcpy(reinterpret_cast<void *>(base(port, region) + offset), from, len);
}

// -------------------------------------------------------------------------- what is allowed

void Bed::enter(std::uint32_t port, std::uint32_t readable_regions)
{
    readable_ = readable_regions << (port * regions);
}

void Bed::leave()
{
    readable_ = 0;
    for (std::size_t i = 0; i < granules_.size(); i += 2)
        std::memset(allowed_.data() + granules_[i], 0, granules_[i + 1] - granules_[i]);
    granules_.clear();
    races_.clear();
}

void Bed::allow_read(std::uint32_t port, std::uint32_t region, std::uint64_t offset,
                     std::uint64_t len)
{
    const std::uint64_t from = (place(port, region) + offset) / granule;
    const std::uint64_t to = (place(port, region) + offset + len + granule - 1) / granule;
    for (std::uint64_t g = from; g < to; ++g)
        allowed_[g] |= readable;
    granules_.push_back(static_cast<std::uint32_t>(from));
    granules_.push_back(static_cast<std::uint32_t>(to));
}

void Bed::allow_write(std::uint32_t port, std::uint32_t region, std::uint64_t offset,
                      std::uint64_t len)
{
    const std::uint64_t from = (place(port, region) + offset) / granule;
    const std::uint64_t whole = from + len / granule;
    std::uint8_t *const all = allowed_.data() + from;
    for (std::uint64_t g = 0; g < whole - from; ++g)
        all[g] |= granule; // or more than that
    if (len % granule != 0) {
        const std::uint64_t had = allowed_[whole] & ~std::uint64_t{readable};
        allowed_[whole] =
            static_cast<std::uint8_t>((allowed_[whole] & readable) | std::max(had, len % granule));
    }
    granules_.push_back(static_cast<std::uint32_t>(from));
    granules_.push_back(static_cast<std::uint32_t>(whole + (len % granule != 0 ? 1 : 0)));
}

void Bed::race(const Race &race)
{
    if (races_.empty())
        load_ = 0;
    if (races_.size() < most_races)
        races_.push_back(race);
}

// -------------------------------------------------------------------------------- the watch

std::uint8_t Bed::region_of(std::uint64_t offset, std::uint64_t len) const
{
    const std::uint8_t owner = owner_[offset / page];
    const std::uint64_t last = offset + len - 1;
    return last < size_ && owner_[last / page] == owner ? owner : no_region;
}

bool Bed::elsewhere(std::uint64_t address, std::uint64_t len) const
{
    const auto image = reinterpret_cast<std::uint64_t>(&__executable_start);
    const auto image_end = reinterpret_cast<std::uint64_t>(&_end);
    return (address >= stack_ && address + len <= stack_end_) ||
           (address >= image && address + len <= image_end);
}

// True: it is in the bed, which ASan knows nothing of.
[[gnu::hot]] bool Bed::loads(std::uint64_t address, std::uint64_t len)
{
    const std::uint64_t offset = address - base_;
    if (offset + len <= own_ && offset < own_)
        return true;
    if (offset >= size_) {
        if (!elsewhere(address, len))
            forbidden("reads", address, len);
        return false;
    }
    const std::uint8_t owner = region_of(offset, len);
    if (owner == no_region)
        forbidden("reads", address, len);
    if (!races_.empty()) {
        ++load_;
        for (Race &r : races_) {
            if (r.load == load_) {
                write(r.port, r.region, r.offset, &r.value, r.len);
                raced_(context_, r);
            }
        }
    }
    if ((readable_ >> owner & 1) != 0)
        return true;
    for (std::uint64_t g = offset / granule; g <= (offset + len - 1) / granule; ++g) {
        if ((allowed_[g] & readable) == 0)
            forbidden("reads", address, len);
    }
    return true;
}

[[gnu::hot]] bool Bed::stores(std::uint64_t address, std::uint64_t len)
{
    const std::uint64_t offset = address - base_;
    if (offset + len <= own_ && offset < own_) {
        written(offset, len);
        return true;
    }
    if (offset >= size_) {
        if (!elsewhere(address, len))
            forbidden("writes", address, len);
        return false;
    }
    if (region_of(offset, len) == no_region)
        forbidden("writes", address, len);
    const std::uint64_t end = offset + len;
    for (std::uint64_t g = offset / granule; g <= (end - 1) / granule; ++g) {
        const std::uint64_t need = std::min(granule, end - g * granule);
        if ((allowed_[g] & ~std::uint64_t{readable}) < need)
            forbidden("writes", address, len);
    }
    written(offset, len);
    return true;
}

void Bed::forbidden(const char *what, std::uint64_t address, std::uint64_t len) const
{
    const std::uint64_t offset = address - base_;
    std::fprintf(stderr, "the switch %s %lu bytes ", what, len);
    const std::uint8_t owner = offset < size_ ? owner_[offset / page] : no_region;
    if (owner != no_region) {
        const std::uint32_t port = owner / regions;
        const std::uint32_t region = owner % regions;
        std::fprintf(stderr, "of port %u, region %u, from 0x%lx on: it may not, in this call\n",
                     port, region, offset - place(port, region));
    } else if (offset < size_) {
        std::fprintf(stderr, "between regions, at 0x%lx\n", offset);
    } else {
        std::fprintf(stderr, "at 0x%lx, where nothing of it is\n", address);
    }
    __sanitizer_print_stack_trace();
    std::abort();
}

} // namespace rvs::fuzz

// ------------------------------------------------------- what the instrumented code calls

extern "C" {

const char *__asan_default_options()
{
    return "detect_stack_use_after_return=0:detect_leaks=0"; // its stack is the stack
}

#define ACCESS(size)                                                                               \
    void __asan_load##size(std::uintptr_t);                                                        \
    void __asan_store##size(std::uintptr_t);                                                       \
    void watch_load##size(std::uintptr_t at)                                                       \
    {                                                                                              \
        if (rvs::fuzz::is_own(at))                                                                 \
            return;                                                                                \
        if (rvs::fuzz::is_stack(at) || !rvs::fuzz::watching->loads(at, size))                      \
            __asan_load##size(at);                                                                 \
    }                                                                                              \
    void watch_store##size(std::uintptr_t at)                                                      \
    {                                                                                              \
        if (rvs::fuzz::is_written(at, size))                                                       \
            return;                                                                                \
        if (rvs::fuzz::is_stack(at) || !rvs::fuzz::watching->stores(at, size))                     \
            __asan_store##size(at);                                                                \
    }
ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)
#undef ACCESS

void __asan_loadN(std::uintptr_t, std::uintptr_t);
void __asan_storeN(std::uintptr_t, std::uintptr_t);
void watch_loadN(std::uintptr_t at, std::uintptr_t len)
{
    if (!rvs::fuzz::watching->loads(at, len))
        __asan_loadN(at, len);
}
void watch_storeN(std::uintptr_t at, std::uintptr_t len)
{
    if (!rvs::fuzz::watching->stores(at, len))
        __asan_storeN(at, len);
}

void *__asan_memcpy(void *, const void *, std::size_t);
void *__asan_memmove(void *, const void *, std::size_t);
void *__asan_memset(void *, int, std::size_t);
void *watch_memcpy(void *to, const void *from, std::size_t len)
{
    if (len != 0) {
        rvs::fuzz::watching->loads(reinterpret_cast<std::uintptr_t>(from), len);
        rvs::fuzz::watching->stores(reinterpret_cast<std::uintptr_t>(to), len);
    }
    return __asan_memcpy(to, from, len);
}
void *watch_memmove(void *to, const void *from, std::size_t len)
{
    if (len != 0) {
        rvs::fuzz::watching->loads(reinterpret_cast<std::uintptr_t>(from), len);
        rvs::fuzz::watching->stores(reinterpret_cast<std::uintptr_t>(to), len);
    }
    return __asan_memmove(to, from, len);
}
void *watch_memset(void *to, int value, std::size_t len)
{
    if (len != 0)
        rvs::fuzz::watching->stores(reinterpret_cast<std::uintptr_t>(to), len);
    return __asan_memset(to, value, len);
}
}
