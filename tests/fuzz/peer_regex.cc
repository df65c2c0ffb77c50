// SPDX-License-Identifier: Apache-2.0
/*
 * RE2 for the regex fuzz target, linked only by tests/fuzz/run.sh and only where libre2-dev is
 * installed: the syntax and the matches that our own matcher promises to equal.
 */
#include <re2/re2.h>

// -1 RE2 refuses the pattern, -2 only for its size; else 0 or 1 and the spans of `n` groups
// (start and end of each, -1 = did not take part).
extern "C" int regex_peer(const char *pattern, size_t pattern_len, const char *text, size_t len,
    int whole, int *spans, int n);

int regex_peer(const char *pattern, size_t pattern_len, const char *text, size_t len, int whole,
    int *spans, int n)
{
    RE2::Options o;
    o.set_log_errors(false);
    o.set_dot_nl(true);
    re2::RE2 re(re2::StringPiece(pattern, pattern_len), o);
    if (!re.ok())
        return re.error_code() == RE2::ErrorPatternTooLarge ||
                       re.error_code() == RE2::ErrorRepeatSize
                   ? -2
                   : -1;
    re2::StringPiece group[33];
    int groups = re.NumberOfCapturingGroups() + 1;
    if (groups > n)
        groups = n;
    if (!re.Match(re2::StringPiece(text, len), 0, len,
            whole ? RE2::ANCHOR_BOTH : RE2::UNANCHORED, group, groups))
        return 0;
    for (int i = 0; i < groups; i++) {
        bool took_part = group[i].data() != nullptr;
        spans[2 * i] = took_part ? static_cast<int>(group[i].data() - text) : -1;
        spans[2 * i + 1] = took_part ? spans[2 * i] + static_cast<int>(group[i].size()) : -1;
    }
    return 1;
}
