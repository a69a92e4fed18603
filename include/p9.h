/*
 * The wire format between the sentry and the gofer: 9P2000.L, and the extension that the version string
 * "9P2000.L.sbox" switches on. Every message is size[4] type[1] tag[2] body, little-endian; strings are length[2]
 * bytes. The extension's requests carry attributes with names and hand descriptors over (SCM_RIGHTS on the reply).
 *
 *   Xattach   msize[4] version newfid            -> msize[4] attr
 *             The first message: Tversion, Tattach and what the root is in one.
 *   Xwalk     fid flags[4] nname[2] (newfid name)* -> n[2] error[4] has_fd[1] target attr*n (descriptor)
 *             One step a name, as far as it goes: n newfids are made, error says why there are no more. target is the
 *             text of the last one found if that is a symbolic link. P9_WALK_OPEN: if all were found and the last is a
 *             regular file that can be read, a descriptor for reading comes with it. P9_WALK_XATTRS: attributes tell
 *             whether there are extended ones.
 *   Xopen     fid flags[4]                       -> (descriptor); flags are O_ACCMODE; regular files only
 *   Xcreate   dfid newfid name kind[4] mode[4] uid[4] gid[4] rdev[8] target -> attr has_fd[1] (descriptor if regular)
 *             A regular file whose name is "" has none: O_TMPFILE.
 *   Xrename   olddir oldname newdir newname flags[4]
 *   Xxattr    fid op[1] name flags[4] value[4+n]  -> value[4+n]
 *   Xreaddir  fid newfid name offset[8] flags[4] -> attr end[1] (ino[8] next[8] type[1] name known[1] (attr))*
 *             Entries of the directory called name in fid, which gets newfid; or, name being "", of fid's own. The
 *             first attr is that directory's. end: nothing follows; else the next offset is the last entry's next.
 *             Without "." and "..". P9_READDIR_ATTRS: with the attributes of what is there, as Xlook would tell them.
 *   Xlook     fid flags[4] nname[2] name*        -> (error[4] | 0[4] attr)*; names of one directory, each for itself
 *   Xforget   n[2] fid*n                         no reply at all
 *   Xnear     cpu[4]                             no reply. Requests come from that processor: be there. Or P9_NEAR_ANY
 */
#pragma once

#include "lib/wirebuf.h"

#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#define P9_VERSION "9P2000.L"
#define P9_VERSION_SBOX "9P2000.L.sbox"
#define P9_MSIZE_MAX (128 * 1024)
#define P9_MSIZE_MIN 4096
#define P9_HEADER 7
#define P9_NOFID 0xffffffffu
#define P9_NOUID 0xffffffffu
#define P9_NEAR_ANY 0xffffffffu
#define P9_MAX_WALK 16
#define P9_MAX_FORGET 1024
#define P9_MAX_LOOK 128
#define P9_ATTR_SIZE (13 + 8 + 4 + 4 + 4 + 8 + 8 + 8 + 8 + 8 + 4 * 16 + 1)

enum p9_type { /* the request; its reply is one higher */
               P9_RLERROR = 7,
               P9_TSTATFS = 8,
               P9_TLOPEN = 12,
               P9_TLCREATE = 14,
               P9_TSYMLINK = 16,
               P9_TMKNOD = 18,
               P9_TRENAME = 20,
               P9_TREADLINK = 22,
               P9_TGETATTR = 24,
               P9_TSETATTR = 26,
               P9_TXATTRWALK = 30,
               P9_TXATTRCREATE = 32,
               P9_TREADDIR = 40,
               P9_TFSYNC = 50,
               P9_TLOCK = 52,
               P9_TGETLOCK = 54,
               P9_TLINK = 70,
               P9_TMKDIR = 72,
               P9_TRENAMEAT = 74,
               P9_TUNLINKAT = 76,
               P9_TVERSION = 100,
               P9_TAUTH = 102,
               P9_TATTACH = 104,
               P9_TFLUSH = 108,
               P9_TWALK = 110,
               P9_TREAD = 116,
               P9_TWRITE = 118,
               P9_TCLUNK = 120,
               P9_TREMOVE = 122,
               P9_XWALK = 200,
               P9_XOPEN = 202,
               P9_XCREATE = 204,
               P9_XRENAME = 206,
               P9_XXATTR = 208,
               P9_XFORGET = 210,
               P9_XREADDIR = 212,
               P9_XLOOK = 214,
               P9_XATTACH = 216,
               P9_XNEAR = 218,
};

enum { P9_WALK_OPEN = 1, P9_WALK_XATTRS = 2, P9_READDIR_ATTRS = 4 };
enum { P9_XATTRS_UNKNOWN, P9_XATTRS_NONE, P9_XATTRS_SOME };
enum { P9_XATTR_GET, P9_XATTR_SET, P9_XATTR_LIST, P9_XATTR_REMOVE };
enum { P9_QTDIR = 0x80, P9_QTSYMLINK = 0x02, P9_QTFILE = 0 };

enum { /* Tsetattr's valid bits */
       P9_SETATTR_MODE = 1,
       P9_SETATTR_UID = 2,
       P9_SETATTR_GID = 4,
       P9_SETATTR_SIZE = 8,
       P9_SETATTR_ATIME = 16,
       P9_SETATTR_MTIME = 32,
       P9_SETATTR_CTIME = 64,
       P9_SETATTR_ATIME_SET = 128,
       P9_SETATTR_MTIME_SET = 256,
};

/* Linux's generic open flags as 9P2000.L sends them (the values of x86-64). */
enum { P9_O_ACCMODE = 3, P9_O_EXCL = 0200, P9_O_TRUNC = 01000, P9_O_APPEND = 02000 };

struct p9_attr {
    uint64_t dev, ino;
    uint32_t mode, uid, gid, blksize;
    uint64_t nlink, rdev, size, blocks;
    struct timespec atime, mtime, ctime, btime;
    uint8_t xattrs; /* P9_XATTRS_* */
};

void p9_put_qid(struct wirebuf *b, const struct p9_attr *a);
/* The extension's attributes: fixed size P9_ATTR_SIZE. */
void p9_put_attr(struct wirebuf *b, const struct p9_attr *a);
/* b is marked bad if the bytes are too few or the times nonsense. */
void p9_get_attr(struct wirebuf *b, struct p9_attr *out);
/* Leaves room for a header, and writes it when the body is complete. */
void p9_begin(struct wirebuf *b, void *data, size_t cap);
void p9_end(struct wirebuf *b, uint8_t type, uint16_t tag);
