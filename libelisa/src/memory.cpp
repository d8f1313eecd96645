// SPDX-License-Identifier: Apache-2.0
#include "elisa/memory.hpp"

#include "elisa/unique_fd.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <fcntl.h>
#include <sstream>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <sys/vfs.h>

namespace elisa {
namespace {

constexpr std::uint64_t pagemap_present = std::uint64_t{1} << 63;
constexpr std::uint64_t pagemap_pfn = (std::uint64_t{1} << 55) - 1;

std::string hex(std::uint64_t value)
{
    char text[24];
    std::snprintf(text, sizeof(text), "0x%llx", static_cast<unsigned long long>(value));
    return text;
}

Result<std::string> read_file(const char *path)
{
    const UniqueFd fd{::open(path, O_RDONLY | O_CLOEXEC)};
    if (!fd) {
        return errno_error(errno, path);
    }
    std::string text;
    char buffer[16384];
    for (;;) {
        const ssize_t n = ::read(fd.get(), buffer, sizeof(buffer));
        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }
            return errno_error(errno, path);
        }
        if (n == 0) {
            return text;
        }
        text.append(buffer, static_cast<std::size_t>(n));
    }
}

bool parse_hex(std::string_view text, std::uint64_t &value)
{
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    return result.ec == std::errc{} && result.ptr == text.data() + text.size();
}

// "7f0000000000-7f0000200000 rw-s ...": the header line of a mapping.
bool parse_header(std::string_view line, std::uint64_t &begin, std::uint64_t &end)
{
    const auto dash = line.find('-');
    const auto space = line.find(' ');
    return dash != std::string_view::npos && space != std::string_view::npos && dash < space &&
           parse_hex(line.substr(0, dash), begin) &&
           parse_hex(line.substr(dash + 1, space - dash - 1), end);
}

bool aligned(std::uint64_t value)
{
    return value % huge_page_size == 0;
}

} // namespace

void append_run(std::vector<GpaRun> &runs, GpaRun run)
{
    if (!runs.empty() && runs.back().gpa.value() + runs.back().length == run.gpa.value()) {
        runs.back().length += run.length;
    } else {
        runs.push_back(run);
    }
}

Result<std::optional<Gpa>> pagemap_entry_to_gpa(std::uint64_t entry)
{
    if ((entry & pagemap_present) == 0) {
        return std::optional<Gpa>{};
    }
    const std::uint64_t pfn = entry & pagemap_pfn;
    if (pfn == 0) {
        // The kernel hides the number rather than refuse.
        return make_error(Errc::not_permitted,
                          "/proc/self/pagemap hides guest-physical addresses from a process "
                          "without CAP_SYS_ADMIN");
    }
    return std::optional{Gpa{pfn * page_size}};
}

std::size_t smaps_page_size(std::string_view smaps, std::uint64_t va, std::uint64_t length)
{
    std::uint64_t covered = va; // everything in [va, covered) has been seen
    const std::uint64_t wanted = va + length;
    std::size_t smallest = 0;
    bool inside = false;
    std::uint64_t end = 0;

    while (!smaps.empty() && covered < wanted) {
        const auto newline = smaps.find('\n');
        const std::string_view line = smaps.substr(0, newline);
        smaps.remove_prefix(newline == std::string_view::npos ? smaps.size() : newline + 1);

        std::uint64_t begin = 0;
        std::uint64_t line_end = 0;
        if (parse_header(line, begin, line_end)) {
            inside = begin <= covered && covered < line_end;
            end = line_end;
            continue;
        }
        constexpr std::string_view key = "KernelPageSize:";
        if (!inside || !line.starts_with(key)) {
            continue;
        }
        std::size_t kilobytes = 0;
        const auto digits = line.find_first_of("0123456789");
        if (digits == std::string_view::npos) {
            return 0;
        }
        std::from_chars(line.data() + digits, line.data() + line.size(), kilobytes);
        smallest = smallest == 0 ? kilobytes * 1024 : std::min(smallest, kilobytes * 1024);
        covered = end;
        inside = false;
    }
    return covered < wanted ? 0 : smallest;
}

Result<std::vector<GpaRun>> resolve(std::span<const MemoryRange> ranges)
{
    if (ranges.empty()) {
        return make_error(Errc::invalid, "a region needs at least one range of memory");
    }
    const auto smaps = read_file("/proc/self/smaps");
    if (!smaps) {
        return smaps.error();
    }
    const UniqueFd pagemap{::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)};
    if (!pagemap) {
        return errno_error(errno, "/proc/self/pagemap");
    }

    std::vector<GpaRun> runs;
    for (const MemoryRange &range : ranges) {
        const auto va = reinterpret_cast<std::uint64_t>(range.va);
        if (range.length == 0 || !aligned(va) || !aligned(range.length)) {
            return make_error(Errc::invalid, "memory for a region begins and ends at multiples of "
                                             "2 MB; " +
                                                 hex(va) + " + " + hex(range.length) + " does not");
        }
        const std::size_t page = smaps_page_size(*smaps, va, range.length);
        if (page < huge_page_size) {
            return make_error(Errc::not_hugetlb,
                              "memory at " + hex(va) + " + " + hex(range.length) +
                                  (page == 0 ? " is not mapped in full"
                                             : " has pages of " + std::to_string(page / 1024) +
                                                   " KB, which the guest kernel may move"));
        }
        if (range.gpa) {
            if (!aligned(range.gpa->value())) {
                return make_error(Errc::invalid, "guest-physical address " +
                                                     hex(range.gpa->value()) +
                                                     " of a huge page is not a multiple of 2 MB");
            }
            append_run(runs, {*range.gpa, range.length});
            continue;
        }
        for (std::uint64_t at = va; at < va + range.length; at += huge_page_size) {
            // Present in the page table, or pagemap has nothing to say.
            static_cast<void>(*reinterpret_cast<const volatile char *>(at));
            std::uint64_t entry = 0;
            const auto offset = static_cast<off_t>(at / page_size * sizeof(entry));
            if (::pread(pagemap.get(), &entry, sizeof(entry), offset) !=
                static_cast<ssize_t>(sizeof(entry))) {
                return errno_error(errno, "reading /proc/self/pagemap");
            }
            const auto gpa = pagemap_entry_to_gpa(entry);
            if (!gpa) {
                return gpa.error();
            }
            if (!*gpa) {
                return make_error(Errc::not_hugetlb, "memory at " + hex(at) + " is not present");
            }
            append_run(runs, {**gpa, huge_page_size});
        }
    }
    return runs;
}

Result<HugeMemory> HugeMemory::make(std::size_t length, void *address, int flags, int file)
{
    if (length == 0 || length > (std::size_t{1} << 46)) {
        return make_error(Errc::invalid, "huge memory of " + std::to_string(length) + " bytes");
    }
    const std::size_t size = (length + huge_page_size - 1) / huge_page_size * huge_page_size;
    flags |= MAP_SHARED | MAP_POPULATE | (address != nullptr ? MAP_FIXED_NOREPLACE : 0);
    void *const data = ::mmap(address, size, PROT_READ | PROT_WRITE, flags, file, 0);
    if (data == MAP_FAILED) {
        const int error = errno;
        if (error == ENOMEM) {
            return make_error(Errc::no_memory, "no " + std::to_string(size / huge_page_size) +
                                                   " free 2 MB pages; reserve them: echo N > "
                                                   "/proc/sys/vm/nr_hugepages");
        }
        return errno_error(error,
                           "mapping " + std::to_string(size / huge_page_size) + " huge pages");
    }
    HugeMemory memory{static_cast<std::byte *>(data), size};
    if (address != nullptr && data != address) {
        return make_error(Errc::invalid, "this kernel does not know MAP_FIXED_NOREPLACE");
    }
    return memory;
}

Result<HugeMemory> HugeMemory::allocate(std::size_t length, void *address)
{
    // MAP_HUGE_2MB: the system's default may be 1 GB. Shared: the pages of a private mapping move
    // at the first write after a fork.
    constexpr int huge_2mb = 21 << 26;
    return make(length, address, MAP_ANONYMOUS | MAP_HUGETLB | huge_2mb, -1);
}

Result<HugeMemory> HugeMemory::map(int file, std::size_t length, void *address)
{
    return make(length, address, 0, file);
}

std::optional<std::string> hugetlbfs()
{
    const auto mounts = read_file("/proc/self/mounts");
    if (!mounts) {
        return std::nullopt;
    }
    std::istringstream lines{*mounts};
    std::string device;
    std::string place;
    std::string type;
    for (std::string rest; lines >> device >> place >> type && std::getline(lines, rest);) {
        struct statfs about = {};
        if (type == "hugetlbfs" && ::statfs(place.c_str(), &about) == 0 &&
            static_cast<std::size_t>(about.f_bsize) == huge_page_size) {
            return place;
        }
    }
    return std::nullopt;
}

HugeMemory::~HugeMemory()
{
    if (data_ != nullptr) {
        ::munmap(data_, size_);
    }
}

} // namespace elisa
