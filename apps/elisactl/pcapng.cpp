// SPDX-License-Identifier: Apache-2.0
#include "pcapng.hpp"

#include <cerrno>

namespace elisactl {
namespace {

using elisa::Result;

constexpr std::uint32_t section_header = 0x0a0d0d0a;
constexpr std::uint32_t interface_description = 1;
constexpr std::uint32_t interface_statistics = 5;
constexpr std::uint32_t enhanced_packet = 6;
constexpr std::uint16_t linktype_ethernet = 1;

// Little endian, as the byte-order magic says.
template <class T>
void put(std::string &to, T value)
{
    for (std::size_t i = 0; i < sizeof(T); ++i) {
        to += static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i) & 0xff);
    }
}

void pad(std::string &to)
{
    to.append((4 - to.size() % 4) % 4, '\0');
}

void option(std::string &to, std::uint16_t code, const std::string &value)
{
    put(to, code);
    put(to, static_cast<std::uint16_t>(value.size()));
    to += value;
    pad(to);
}

template <class T>
void number_option(std::string &to, std::uint16_t code, T value)
{
    std::string bytes;
    put(bytes, value);
    option(to, code, bytes);
}

void end_options(std::string &to)
{
    put(to, std::uint32_t{0});
}

// Two words, the high one first.
void put_time(std::string &to, std::uint64_t time_ns)
{
    put(to, static_cast<std::uint32_t>(time_ns >> 32));
    put(to, static_cast<std::uint32_t>(time_ns));
}

} // namespace

Result<Pcapng> Pcapng::create(const std::string &path, const std::string &interface)
{
    Pcapng out;
    out.path_ = path;
    out.file_.reset(path == "-" ? stdout : std::fopen(path.c_str(), "wbe"));
    if (out.file_ == nullptr) {
        return elisa::errno_error(errno, path);
    }
    std::string section;
    put(section, std::uint32_t{0x1a2b3c4d});
    put(section, std::uint16_t{1}); // version 1.0
    put(section, std::uint16_t{0});
    put(section, ~std::uint64_t{0}); // length unknown
    constexpr std::uint16_t userappl = 4;
    option(section, userappl, "elisactl");
    end_options(section);
    if (auto written = out.block(section_header, section); !written) {
        return written.error();
    }
    std::string description;
    put(description, linktype_ethernet);
    put(description, std::uint16_t{0});
    put(description, std::uint32_t{0}); // frames are whole
    constexpr std::uint16_t if_name = 2;
    constexpr std::uint16_t if_tsresol = 9;
    option(description, if_name, interface);
    number_option(description, if_tsresol, std::uint8_t{9}); // nanoseconds
    end_options(description);
    if (auto written = out.block(interface_description, description); !written) {
        return written.error();
    }
    return out;
}

Result<void> Pcapng::block(std::uint32_t type, const std::string &body)
{
    std::string whole;
    const auto length = static_cast<std::uint32_t>(body.size() + 12);
    put(whole, type);
    put(whole, length);
    whole += body;
    put(whole, length);
    if (std::fwrite(whole.data(), 1, whole.size(), file_.get()) != whole.size()) {
        return elisa::errno_error(errno, "writing " + path_);
    }
    return {};
}

Result<void> Pcapng::frame(std::uint64_t time_ns, bool sent, std::span<const std::uint8_t> bytes)
{
    std::string body;
    put(body, std::uint32_t{0}); // the interface
    put_time(body, time_ns);
    put(body, static_cast<std::uint32_t>(bytes.size()));
    put(body, static_cast<std::uint32_t>(bytes.size()));
    body.append(reinterpret_cast<const char *>(bytes.data()), bytes.size());
    pad(body);
    constexpr std::uint16_t epb_flags = 2;
    constexpr std::uint32_t inbound = 1;
    constexpr std::uint32_t outbound = 2;
    number_option(body, epb_flags, sent ? outbound : inbound);
    end_options(body);
    return block(enhanced_packet, body);
}

Result<void> Pcapng::finish(std::uint64_t time_ns, std::uint64_t received, std::uint64_t lost)
{
    std::string body;
    put(body, std::uint32_t{0});
    put_time(body, time_ns);
    constexpr std::uint16_t isb_ifrecv = 4;
    constexpr std::uint16_t isb_ifdrop = 5;
    number_option(body, isb_ifrecv, received);
    number_option(body, isb_ifdrop, lost);
    end_options(body);
    auto written = block(interface_statistics, body);
    return written ? flush() : written;
}

Result<void> Pcapng::flush()
{
    if (std::fflush(file_.get()) != 0) {
        return elisa::errno_error(errno, "writing " + path_);
    }
    return {};
}

} // namespace elisactl
