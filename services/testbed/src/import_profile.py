"""What NetworkManager makes of a profile: the arguments are libnm.so.0, its plugin for OpenVPN, and the profile.

It calls what `nmcli connection import` calls (do_connection_import of src/nmcli/connections.c), up to where that would ask a running
NetworkManager to keep the connection. The plugin writes certificates and keys below HOME. Prints one line for each item of the connection:
its name, a tab, its value. Without a profile it only loads both libraries.

Exits with 0; with 3 if the plugin does not take the profile, and with another code if anything else fails. Standard error says why.
"""
import ctypes
import sys

FAILED, REFUSED = 1, 3

library, plugin = (argument.encode() for argument in sys.argv[1:3])
profiles = sys.argv[3:]
pointer, text = ctypes.c_void_p, ctypes.c_char_p


class Error(ctypes.Structure):
    _fields_ = [("domain", ctypes.c_uint32), ("code", ctypes.c_int), ("message", text)]


def end(code, why):
    print(why, file=sys.stderr)
    sys.exit(code)


def function(name, result, *arguments):
    found = getattr(nm, name)
    found.restype, found.argtypes = result, arguments
    return found


def call(name, result, *arguments, code=FAILED):
    """Calls a function whose last argument is where it puts an error. If it fails, this program exits with the code."""
    error = ctypes.POINTER(Error)()
    types = [text if isinstance(argument, bytes) else pointer for argument in arguments]
    answer = function(name, result, *types, ctypes.POINTER(ctypes.POINTER(Error)))(*arguments, ctypes.byref(error))
    if not answer:
        end(code, error.contents.message.decode() if error else f"{name} failed")
    return answer


try:
    # The plugin needs it too, and takes the one that is loaded.
    nm = ctypes.CDLL(library.decode(), mode=ctypes.RTLD_GLOBAL)
except OSError as error:
    end(FAILED, error)
importer = call("nm_vpn_editor_plugin_load", pointer, plugin, b"org.freedesktop.NetworkManager.openvpn")

for profile in profiles:
    # A file that cannot be read is not the plugin's refusal.
    open(profile, "rb").close()
    connection = call("nm_vpn_editor_plugin_import", pointer, importer, profile.encode(), code=REFUSED)
    call("nm_connection_normalize", ctypes.c_int, connection, None, None)

    Item = ctypes.CFUNCTYPE(None, text, text, pointer)
    settings = function("nm_connection_get_setting_vpn", pointer, pointer)(connection)
    show = Item(lambda name, value, _: print(name.decode(), value.decode(), sep="\t"))
    function("nm_setting_vpn_foreach_data_item", None, pointer, Item, pointer)(settings, show, None)
