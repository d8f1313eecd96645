// SPDX-License-Identifier: Apache-2.0
#include "program.hpp"

#include <cerrno>
#include <cstdio>
#include <signal.h>
#include <string>
#include <unistd.h>

namespace apps {
namespace {

std::atomic<bool> stop{false};
std::atomic<bool> reload{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void on_signal(int)
{
    stop.store(true, std::memory_order_relaxed);
}

void on_hangup(int)
{
    reload.store(true, std::memory_order_relaxed);
}

} // namespace

std::filesystem::path find_image(std::string_view name_or_path)
{
    std::filesystem::path given{name_or_path};
    if (given.has_parent_path() || given.has_extension()) {
        return given;
    }
    std::error_code ignored;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", ignored);
    given += ".elf";
    const auto prefix = self.parent_path().parent_path();
    // Where packages put it, or next to the programs that were built with it.
    auto packaged = prefix / "lib" / "elisa" / given;
    return std::filesystem::exists(packaged, ignored) ? packaged
                                                      : prefix / "share" / "elisa" / given;
}

void print_result(const Json &result)
{
    const std::string line = "ELISA-RESULT " + result.dump() + "\n";
    std::fflush(stdout);
    // In one piece: on a terminal that several processes share, it is not torn then.
    for (std::string_view left = line; !left.empty();) {
        const ssize_t wrote = ::write(STDOUT_FILENO, left.data(), left.size());
        if (wrote < 0 && errno != EINTR) {
            return;
        }
        left.remove_prefix(wrote > 0 ? static_cast<std::size_t>(wrote) : 0);
    }
}

int fail(std::string_view program, const elisa::Error &error)
{
    std::fflush(stdout);
    std::fprintf(stderr, "%.*s: %s\n", static_cast<int>(program.size()), program.data(),
                 error.message.c_str());
    return 1;
}

const std::atomic<bool> &stop_requested()
{
    struct sigaction action {};
    action.sa_handler = on_signal;
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
    return stop;
}

std::atomic<bool> &reload_requested()
{
    struct sigaction action {};
    action.sa_handler = on_hangup;
    ::sigaction(SIGHUP, &action, nullptr);
    return reload;
}

} // namespace apps
