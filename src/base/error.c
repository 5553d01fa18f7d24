/* SPDX-License-Identifier: MIT */
#include "base/bits.h"

#include <pier/error.h>

#include <errno.h>
#include <string.h>

/*
 * Every fact of every code, and nothing about codes anywhere else: its name, its sentence and the
 * exception that Python raises for it (PEP 3151 for the errnos). Each block of codes is indexed by
 * its distance from the block's start, so the numbers of another architecture fit as well.
 * The sentences are glibc's, and CPython's where Python refuses an argument.
 */
struct fact {
    const char *name, *sentence, *exception;
};

/* clang-format off */
#define E(code, sentence, exception) [code] = {#code, sentence, #exception}
static const struct fact errnos[] = {
    [0] = {"OK", "Success", NULL},
    E(EPERM, "Operation not permitted", PermissionError),
    E(ENOENT, "No such file or directory", FileNotFoundError),
    E(ESRCH, "No such process", ProcessLookupError),
    E(EINTR, "Interrupted system call", InterruptedError),
    E(EIO, "Input/output error", OSError),
    E(ENXIO, "No such device or address", OSError),
    E(E2BIG, "Argument list too long", OSError),
    E(ENOEXEC, "Exec format error", OSError),
    E(EBADF, "Bad file descriptor", OSError),
    E(ECHILD, "No child processes", ChildProcessError),
    E(EAGAIN, "Resource temporarily unavailable", BlockingIOError),
    E(ENOMEM, "Cannot allocate memory", OSError),
    E(EACCES, "Permission denied", PermissionError),
    E(EFAULT, "Bad address", OSError),
    E(ENOTBLK, "Block device required", OSError),
    E(EBUSY, "Device or resource busy", OSError),
    E(EEXIST, "File exists", FileExistsError),
    E(EXDEV, "Invalid cross-device link", OSError),
    E(ENODEV, "No such device", OSError),
    E(ENOTDIR, "Not a directory", NotADirectoryError),
    E(EISDIR, "Is a directory", IsADirectoryError),
    E(EINVAL, "Invalid argument", OSError),
    E(ENFILE, "Too many open files in system", OSError),
    E(EMFILE, "Too many open files", OSError),
    E(ENOTTY, "Inappropriate ioctl for device", OSError),
    E(ETXTBSY, "Text file busy", OSError),
    E(EFBIG, "File too large", OSError),
    E(ENOSPC, "No space left on device", OSError),
    E(ESPIPE, "Illegal seek", OSError),
    E(EROFS, "Read-only file system", OSError),
    E(EMLINK, "Too many links", OSError),
    E(EPIPE, "Broken pipe", BrokenPipeError),
    E(EDOM, "Numerical argument out of domain", OSError),
    E(ERANGE, "Numerical result out of range", OSError),
    E(EDEADLK, "Resource deadlock avoided", OSError),
    E(ENAMETOOLONG, "File name too long", OSError),
    E(ENOLCK, "No locks available", OSError),
    E(ENOSYS, "Function not implemented", OSError),
    E(ENOTEMPTY, "Directory not empty", OSError),
    E(ELOOP, "Too many levels of symbolic links", OSError),
    E(ENOMSG, "No message of desired type", OSError),
    E(EIDRM, "Identifier removed", OSError),
    E(ECHRNG, "Channel number out of range", OSError),
    E(EL2NSYNC, "Level 2 not synchronized", OSError),
    E(EL3HLT, "Level 3 halted", OSError),
    E(EL3RST, "Level 3 reset", OSError),
    E(ELNRNG, "Link number out of range", OSError),
    E(EUNATCH, "Protocol driver not attached", OSError),
    E(ENOCSI, "No CSI structure available", OSError),
    E(EL2HLT, "Level 2 halted", OSError),
    E(EBADE, "Invalid exchange", OSError),
    E(EBADR, "Invalid request descriptor", OSError),
    E(EXFULL, "Exchange full", OSError),
    E(ENOANO, "No anode", OSError),
    E(EBADRQC, "Invalid request code", OSError),
    E(EBADSLT, "Invalid slot", OSError),
    E(EBFONT, "Bad font file format", OSError),
    E(ENOSTR, "Device not a stream", OSError),
    E(ENODATA, "No data available", OSError),
    E(ETIME, "Timed out", TimeoutError),
    E(ENOSR, "Out of streams resources", OSError),
    E(ENONET, "Machine is not on the network", OSError),
    E(ENOPKG, "Package not installed", OSError),
    E(EREMOTE, "Object is remote", OSError),
    E(ENOLINK, "Link has been severed", OSError),
    E(EADV, "Advertise error", OSError),
    E(ESRMNT, "Srmount error", OSError),
    E(ECOMM, "Communication error on send", OSError),
    E(EPROTO, "Protocol error", OSError),
    E(EMULTIHOP, "Multihop attempted", OSError),
    E(EDOTDOT, "RFS specific error", OSError),
    E(EBADMSG, "Bad message", OSError),
    E(EOVERFLOW, "Value too large for defined data type", OSError),
    E(ENOTUNIQ, "Name not unique on network", OSError),
    E(EBADFD, "File descriptor in bad state", OSError),
    E(EREMCHG, "Remote address changed", OSError),
    E(ELIBACC, "Can not access a needed shared library", OSError),
    E(ELIBBAD, "Accessing a corrupted shared library", OSError),
    E(ELIBSCN, ".lib section in a.out corrupted", OSError),
    E(ELIBMAX, "Attempting to link in too many shared libraries", OSError),
    E(ELIBEXEC, "Cannot exec a shared library directly", OSError),
    E(EILSEQ, "Invalid or incomplete multibyte or wide character", OSError),
    E(ERESTART, "Interrupted system call should be restarted", OSError),
    E(ESTRPIPE, "Streams pipe error", OSError),
    E(EUSERS, "Too many users", OSError),
    E(ENOTSOCK, "Socket operation on non-socket", OSError),
    E(EDESTADDRREQ, "Destination address required", OSError),
    E(EMSGSIZE, "Message too long", OSError),
    E(EPROTOTYPE, "Protocol wrong type for socket", OSError),
    E(ENOPROTOOPT, "Protocol not available", OSError),
    E(EPROTONOSUPPORT, "Protocol not supported", OSError),
    E(ESOCKTNOSUPPORT, "Socket type not supported", OSError),
    E(EOPNOTSUPP, "Operation not supported", OSError),
    E(EPFNOSUPPORT, "Protocol family not supported", OSError),
    E(EAFNOSUPPORT, "Address family not supported by protocol", OSError),
    E(EADDRINUSE, "Address already in use", OSError),
    E(EADDRNOTAVAIL, "Cannot assign requested address", OSError),
    E(ENETDOWN, "Network is down", OSError),
    E(ENETUNREACH, "Network is unreachable", OSError),
    E(ENETRESET, "Network dropped connection on reset", OSError),
    E(ECONNABORTED, "Software caused connection abort", ConnectionAbortedError),
    E(ECONNRESET, "Connection reset by peer", ConnectionResetError),
    E(ENOBUFS, "No buffer space available", OSError),
    E(EISCONN, "Transport endpoint is already connected", OSError),
    E(ENOTCONN, "Transport endpoint is not connected", OSError),
    E(ESHUTDOWN, "Cannot send after transport endpoint shutdown", BrokenPipeError),
    E(ETOOMANYREFS, "Too many references: cannot splice", OSError),
    E(ETIMEDOUT, "Connection timed out", TimeoutError),
    E(ECONNREFUSED, "Connection refused", ConnectionRefusedError),
    E(EHOSTDOWN, "Host is down", OSError),
    E(EHOSTUNREACH, "No route to host", OSError),
    E(EALREADY, "Operation already in progress", BlockingIOError),
    E(EINPROGRESS, "Operation now in progress", BlockingIOError),
    E(ESTALE, "Stale file handle", OSError),
    E(EUCLEAN, "Structure needs cleaning", OSError),
    E(ENOTNAM, "Not a XENIX named type file", OSError),
    E(ENAVAIL, "No XENIX semaphores available", OSError),
    E(EISNAM, "Is a named type file", OSError),
    E(EREMOTEIO, "Remote I/O error", OSError),
    E(EDQUOT, "Disk quota exceeded", OSError),
    E(ENOMEDIUM, "No medium found", OSError),
    E(EMEDIUMTYPE, "Wrong medium type", OSError),
    E(ECANCELED, "Operation canceled", OSError),
    E(ENOKEY, "Required key not available", OSError),
    E(EKEYEXPIRED, "Key has expired", OSError),
    E(EKEYREVOKED, "Key has been revoked", OSError),
    E(EKEYREJECTED, "Key was rejected by service", OSError),
    E(EOWNERDEAD, "Owner died", OSError),
    E(ENOTRECOVERABLE, "State not recoverable", OSError),
    E(ERFKILL, "Operation not possible due to RF-kill", OSError),
    E(EHWPOISON, "Memory page has hardware error", OSError),
};
#undef E

#define E(code, sentence) [-10000 - PIER_EAI_##code] = {"EAI_" #code, sentence, "gaierror"}
static const struct fact resolver[] = {
    E(BADFLAGS, "Bad value for ai_flags"),
    E(NONAME, "Name or service not known"),
    E(AGAIN, "Temporary failure in name resolution"),
    E(FAIL, "Non-recoverable failure in name resolution"),
    E(NODATA, "No address associated with hostname"),
    E(FAMILY, "ai_family not supported"),
    E(SOCKTYPE, "ai_socktype not supported"),
    E(SERVICE, "Servname not supported for ai_socktype"),
    E(ADDRFAMILY, "Address family for hostname not supported"),
    E(MEMORY, "Memory allocation failure"),
    E(SYSTEM, "System error"),
    E(OVERFLOW, "Result too large for supplied buffer"),
    E(INPROGRESS, "Processing request in progress"),
    E(CANCELED, "Request canceled"),
    E(NOTCANCELED, "Request not canceled"),
    E(ALLDONE, "All requests done"),
    E(INTR, "Interrupted by a signal"),
    E(IDN_ENCODE, "Parameter string not correctly encoded"),
};
#undef E

#define E(code, sentence) [-11000 - PIER_H_##code] = {#code, sentence, "herror"}
static const struct fact hosts[] = {
    E(HOST_NOT_FOUND, "Unknown host"),
    E(TRY_AGAIN, "Host name lookup failure"),
    E(NO_RECOVERY, "Unknown server error"),
    E(NO_DATA, "No address associated with name"),
};
#undef E

#define E(code, sentence, exception) [-12000 - PIER_##code] = {"PIER_" #code, sentence, #exception}
static const struct fact arguments[] = {
    E(EPORT, "port must be 0-65535", OverflowError),
    E(EFLOWINFO, "flowinfo must be 0-1048575", OverflowError),
    E(ERANGE, "number out of range for its field", OverflowError),
    E(EPATHLEN, "AF_UNIX path too long", OSError),
    E(EIFNAMELEN, "interface name too long", OSError),
    E(EALGTYPE, "AF_ALG type too long", ValueError),
    E(EALGNAME, "AF_ALG name too long", ValueError),
    E(EBDADDR, "bad bluetooth address", OSError),
    E(EX25ADDR, "X.25 address must be 1 to 15 digits", ValueError),
    E(EHWADDRLEN, "hardware address must be 8 bytes or less", ValueError),
    E(EADDRTEXT, "malformed address", ValueError),
    E(ENUL, "embedded null byte", ValueError),
    E(EHOSTTEXT, "host name label empty or too long", UnicodeError),
    E(ENOTSTRICT, "IPv4 address is not four plain decimal numbers", ValueError),
    E(EIPTEXT, "illegal IP address string", OSError),
    E(EPACKED, "packed IP wrong length", OSError),
    E(EFAMILY, "address family mismatched", OSError),
    E(ENOADDR, "no address given", ValueError),
    E(EUNRESOLVED, "address not resolved yet", ValueError),
    E(EOPTLEN, "getsockopt buflen out of range", OSError),
    E(ENOOPT, "no socket option with this name", ValueError),
    E(ENOSERVICE, "service/proto not found", OSError),
    E(ENOPROTOCOL, "protocol not found", OSError),
    E(ENOINTERFACE, "no interface with this name", OSError),
    E(EMULTIPLE, "sockaddr resolved to multiple addresses", OSError),
    E(ENOTHANDLE, "handle did not come from pier", ValueError),
    E(EINCOMPLETE, "stream ended early", EOFError),
    E(ENOTASK, "not inside a task", RuntimeError),
    E(ENOLOOP, "no loop was opened in this thread", RuntimeError),
    E(EFOREIGN, "bound to a different thread", RuntimeError),
    E(ENOTHELD, "lock is not held by the caller", RuntimeError),
    E(ESHUTDOWN, "queue has been shut down", QueueShutDown),
};
#undef E

/* Other names of the same numbers. */
static const struct {
    const char *name;
    int code;
} aliases[] = {
    {"EWOULDBLOCK", -EWOULDBLOCK}, {"EDEADLOCK", -EDEADLOCK}, {"ENOTSUP", -ENOTSUP},
};
/* clang-format on */

static const struct block {
    int start;
    int count;
    const struct fact *facts;
} blocks[] = {
    {0, PIER_COUNT(errnos), errnos},
    {-10000, PIER_COUNT(resolver), resolver},
    {-11000, PIER_COUNT(hosts), hosts},
    {-12000, PIER_COUNT(arguments), arguments},
};

static const struct fact *facts_of(ssize_t code)
{
    for (size_t i = 0; i < PIER_COUNT(blocks); i++) {
        const struct block *b = &blocks[i];
        if (code > b->start || code <= b->start - b->count) continue;
        const struct fact *fact = &b->facts[b->start - code];
        return fact->name ? fact : NULL;
    }
    return NULL;
}

const char *pier_strerror(ssize_t code)
{
    const struct fact *fact = facts_of(code);
    return fact ? fact->sentence : "Unknown error";
}

const char *pier_errname(ssize_t code)
{
    const struct fact *fact = facts_of(code);
    return fact ? fact->name : NULL;
}

const char *pier_errexception(ssize_t code)
{
    const struct fact *fact = facts_of(code);
    return fact ? fact->exception : NULL;
}

int pier_errcode(const char *name)
{
    if (!name) return 0;
    for (size_t i = 0; i < PIER_COUNT(blocks); i++) {
        const struct block *b = &blocks[i];
        for (int n = 0; n < b->count; n++)
            if (b->facts[n].name && strcmp(b->facts[n].name, name) == 0) return b->start - n;
    }
    for (size_t i = 0; i < PIER_COUNT(aliases); i++)
        if (strcmp(aliases[i].name, name) == 0) return aliases[i].code;
    return 0;
}
