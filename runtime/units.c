/* See units.h. Decimal fractions are read as thousandths, so that no floating point is needed. */
#include "runtime/units.h"

#include "lib/checked.h"

#include <string.h>
#include <strings.h>

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit sizes[] = {
    {"", 1},
    {"b", 1},
    {"k", 1ULL << 10},
    {"kb", 1ULL << 10},
    {"kib", 1ULL << 10},
    {"m", 1ULL << 20},
    {"mb", 1ULL << 20},
    {"mib", 1ULL << 20},
    {"g", 1ULL << 30},
    {"gb", 1ULL << 30},
    {"gib", 1ULL << 30},
    {"t", 1ULL << 40},
    {"tb", 1ULL << 40},
    {"tib", 1ULL << 40},
};
static const struct unit durations[] = {
    {"", 1000000000ULL},
    {"s", 1000000000ULL},
    {"ms", 1000000ULL},
    {"us", 1000ULL},
    {"ns", 1},
    {"m", 60 * 1000000000ULL},
    {"min", 60 * 1000000000ULL},
    {"h", 3600 * 1000000000ULL},
    {"d", 86400 * 1000000000ULL},
};
static const struct unit plain[] = {{"", 1000}};

/* digits[.digits] in thousandths; *text is left at what follows. */
static bool read_thousandths(const char **text, uint64_t *out)
{
    const char *p = *text;
    uint64_t v = 0;
    unsigned scale = 1000, digits = 0;
    bool point = false;

    for (; (*p >= '0' && *p <= '9') || (*p == '.' && !point); p++) {
        if (*p == '.') {
            point = true;
            continue;
        }
        digits++;
        if (point) {
            scale /= 10;
            v += (uint64_t)(*p - '0') * scale;
        } else if (!checked_mul(v, 10, &v) || !checked_add(v, (uint64_t)(*p - '0') * 1000, &v)) {
            return false;
        }
    }
    *text = p;
    *out = v;
    return digits > 0;
}

static bool parse_unit(const char *text, const struct unit *units, size_t count, uint64_t *out)
{
    uint64_t v;

    if (!read_thousandths(&text, &v))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (strcasecmp(text, units[i].name))
            continue;
        uint64_t whole, rest = v % 1000;
        if (!checked_mul(v / 1000, units[i].factor, &whole) || units[i].factor > UINT64_MAX / 1000 ||
            !checked_add(whole, rest * units[i].factor / 1000, out))
            return false;
        return true;
    }
    return false;
}

bool parse_size(const char *text, uint64_t *out)
{
    return parse_unit(text, sizes, ARRAY_SIZE(sizes), out);
}

bool parse_duration(const char *text, uint64_t *out)
{
    return parse_unit(text, durations, ARRAY_SIZE(durations), out) && *out;
}

bool parse_count(const char *text, uint64_t max, unsigned *out)
{
    uint64_t v;

    if (strchr(text, '.') || !parse_unit(text, plain, ARRAY_SIZE(plain), &v) || !v || v / 1000 > max)
        return false;
    *out = (unsigned)(v / 1000);
    return true;
}

bool parse_cpus(const char *text, unsigned *out)
{
    uint64_t v;

    if (!parse_unit(text, plain, ARRAY_SIZE(plain), &v) || !v || v > 1000000000)
        return false;
    *out = (unsigned)v;
    return true;
}
