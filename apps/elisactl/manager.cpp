// SPDX-License-Identifier: Apache-2.0
#include "manager.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sys/socket.h>
#include <sys/un.h>
#include <vector>

namespace elisactl {

using elisa::errno_error;
using elisa::Error;
using elisa::Result;

namespace {

std::string socket_in_environment()
{
    const char *const given = std::getenv("ELISACTL_SOCKET");
    return given != nullptr ? given : "";
}

} // namespace

bool is_socket_named(const Context &context)
{
    return !context.socket.empty() || !socket_in_environment().empty();
}

std::string usual_socket()
{
    if (std::string given = socket_in_environment(); !given.empty()) {
        return given;
    }
    std::vector<std::string> found;
    std::error_code ignored;
    for (const auto &entry : std::filesystem::directory_iterator{"/run/elisa", ignored}) {
        if (entry.path().extension() == ".sock" && entry.is_socket(ignored)) {
            found.push_back(entry.path());
        }
    }
    return found.size() == 1 ? found.front() : "/run/elisa/rvs.sock";
}

Result<Manager> Manager::connect(const Context &context)
{
    const std::string path = context.socket.empty() ? usual_socket() : context.socket;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof(address.sun_path)) {
        return elisa::make_error(elisa::Errc::invalid,
                                 "the path of the socket is too long: " + path);
    }
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    elisa::UniqueFd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (!fd) {
        return errno_error(errno, "socket");
    }
    if (::connect(fd.get(), reinterpret_cast<const sockaddr *>(&address), sizeof(address)) != 0) {
        const int error = errno;
        std::string why =
            error == ENOENT
                ? "no manager listens at " + path +
                      ": is vmnet running on this machine (in the manager's VM, with the elisa "
                      "backend)? Another socket: --socket PATH"
            : error == ECONNREFUSED ? "the manager of " + path + " has gone: start vmnet again"
            : error == EACCES || error == EPERM
                ? path + " belongs to another user: run as the one who runs vmnet"
                : path + ": " + std::strerror(error);
        return Error{{error, std::generic_category()}, std::move(why)};
    }
    return Manager{std::move(fd), path};
}

Result<bool> Manager::more()
{
    if (at_ != 0) {
        in_.erase(0, at_);
        at_ = 0;
    }
    char some[65536];
    ssize_t got = 0;
    do {
        got = ::recv(fd_.get(), some, sizeof(some), 0);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return errno_error(errno, path_);
    }
    in_.append(some, static_cast<std::size_t>(got));
    return got != 0;
}

Result<bool> Manager::read_line(std::string &line)
{
    for (;;) {
        const std::size_t end = in_.find('\n', at_);
        if (end != std::string::npos) {
            line.assign(in_, at_, end - at_);
            at_ = end + 1;
            return true;
        }
        auto there = more();
        if (!there || !*there) {
            return there;
        }
    }
}

Result<bool> Manager::read_bytes(void *into, std::size_t length)
{
    while (in_.size() - at_ < length) {
        auto there = more();
        if (!there || !*there) {
            return there;
        }
    }
    std::memcpy(into, in_.data() + at_, length);
    at_ += length;
    return true;
}

Result<Json> Manager::ask(const Json &request)
{
    const std::string line = request.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    for (std::size_t sent = 0; sent < line.size();) {
        const ssize_t n = ::send(fd_.get(), line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR) {
            return errno_error(errno, path_);
        }
        sent += static_cast<std::size_t>(std::max<ssize_t>(n, 0));
    }
    std::string answer;
    const auto there = read_line(answer);
    if (!there) {
        return there.error();
    }
    Json json = Json::parse(answer, nullptr, false);
    if (!*there || !json.is_object()) {
        return elisa::make_error(elisa::Errc::inconsistent,
                                 "the manager of " + path_ + " hung up, or is no vmnet");
    }
    if (!json.value("ok", false)) {
        return elisa::make_error(elisa::Errc::refused, json.value("error", std::string{"refused"}));
    }
    json.erase("ok");
    return json;
}

Result<Json> ask(const Context &context, const Json &request)
{
    auto manager = Manager::connect(context);
    return manager ? manager->ask(request) : Result<Json>{manager.error()};
}

Json port_json(const std::string &text)
{
    std::uint32_t number = 0;
    const char *const end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, number);
    return parsed.ec == std::errc{} && parsed.ptr == end ? Json(number) : Json(text);
}

} // namespace elisactl
