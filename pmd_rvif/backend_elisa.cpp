// SPDX-License-Identifier: Apache-2.0
#include "backend.hpp"

namespace rvif {

std::unique_ptr<Backend> attach_elisa(const Config &, std::string &why)
{
    why = "built without the elisa backend";
    return nullptr;
}

} // namespace rvif
