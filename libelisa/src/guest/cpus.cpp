// SPDX-License-Identifier: Apache-2.0
#include "cpus.hpp"

#include "elisa/pinned.hpp"
#include "elisa/unique_fd.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fcntl.h>
#include <string>

namespace elisa::detail {
namespace {

Result<std::string> contents(const char *path)
{
    const UniqueFd fd{::open(path, O_RDONLY | O_CLOEXEC)};
    if (!fd) {
        return errno_error(errno, path);
    }
    std::string text;
    for (;;) {
        char part[4096];
        const ssize_t n = ::read(fd.get(), part, sizeof(part));
        if (n < 0) {
            return errno_error(errno, path);
        }
        if (n == 0) {
            return text;
        }
        text.append(part, static_cast<std::size_t>(n));
    }
}

Result<std::vector<int>> cpus_in(const char *path)
{
    const auto text = contents(path);
    if (!text) {
        return text.error();
    }
    return parse_cpu_list(*text);
}

} // namespace

Result<std::vector<int>> parse_cpu_list(std::string_view text)
{
    std::vector<int> cpus;
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) {
        text.remove_suffix(1);
    }
    while (!text.empty()) {
        const std::string_view item = text.substr(0, text.find(','));
        text.remove_prefix(std::min(text.size(), item.size() + 1));
        int first = 0;
        int last = 0;
        const char *const end = item.data() + item.size();
        auto parsed = std::from_chars(item.data(), end, first);
        last = first;
        if (parsed.ec == std::errc{} && parsed.ptr != end && *parsed.ptr == '-') {
            parsed = std::from_chars(parsed.ptr + 1, end, last);
        }
        if (parsed.ec != std::errc{} || parsed.ptr != end || first < 0 || last < first ||
            last >= max_cpus) {
            return make_error(Errc::invalid, "'" + std::string{item} + "' is no list of CPUs");
        }
        for (int cpu = first; cpu <= last; ++cpu) {
            cpus.push_back(cpu);
        }
    }
    if (cpus.empty()) {
        return make_error(Errc::invalid, "a list of CPUs is empty");
    }
    return cpus;
}

Result<std::vector<int>> online_cpus()
{
    return cpus_in("/sys/devices/system/cpu/online");
}

Result<std::vector<int>> possible_cpus()
{
    return cpus_in("/sys/devices/system/cpu/possible");
}

} // namespace elisa::detail

namespace elisa {

// Not by sched_getaffinity(), which leaves out what is offline.
Result<std::vector<int>> allowed_cpus()
{
    constexpr const char *path = "/proc/thread-self/status";
    constexpr std::string_view key = "\nCpus_allowed_list:\t";
    const auto text = detail::contents(path);
    if (!text) {
        return text.error();
    }
    const std::size_t at = text->find(key);
    if (at == std::string::npos) {
        return make_error(Errc::invalid,
                          std::string{path} + " does not say on which CPUs this thread may run");
    }
    const std::string_view rest = std::string_view{*text}.substr(at + key.size());
    return detail::parse_cpu_list(rest.substr(0, rest.find('\n')));
}

} // namespace elisa
