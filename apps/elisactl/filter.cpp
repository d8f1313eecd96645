// SPDX-License-Identifier: Apache-2.0
#include "filter.hpp"

#include <pcap/pcap.h>

namespace elisactl {

void Filter::Free::operator()(bpf_program *program) const
{
    ::pcap_freecode(program);
    delete program;
}

elisa::Result<Filter> Filter::compile(const std::string &text)
{
    Filter filter;
    if (text.empty()) {
        return filter;
    }
    constexpr int whole_frames = 262144;
    const std::unique_ptr<pcap_t, void (*)(pcap_t *)> pcap{
        ::pcap_open_dead(DLT_EN10MB, whole_frames), ::pcap_close};
    auto program = std::make_unique<bpf_program>();
    if (pcap == nullptr ||
        ::pcap_compile(pcap.get(), program.get(), text.c_str(), 1, PCAP_NETMASK_UNKNOWN) != 0) {
        return elisa::make_error(elisa::Errc::invalid,
                                 "the filter '" + text + "': " +
                                     (pcap != nullptr ? ::pcap_geterr(pcap.get()) : "no memory") +
                                     " (see man pcap-filter)");
    }
    filter.program_.reset(program.release());
    return filter;
}

bool Filter::passes(std::span<const std::uint8_t> frame) const
{
    if (program_ == nullptr) {
        return true;
    }
    pcap_pkthdr header{};
    header.caplen = header.len = static_cast<bpf_u_int32>(frame.size());
    return ::pcap_offline_filter(program_.get(), &header, frame.data()) != 0;
}

} // namespace elisactl
