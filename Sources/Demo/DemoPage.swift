/// The demo container's page: the files of `Page/`, which the build puts into the program. None refers to another host.
enum DemoPage {
    /// The file at a request's path, with its media type; `nil` when there is none.
    static func file(at path: String) -> (contentType: String, bytes: [UInt8])? {
        switch path {
        case "/": ("text/html; charset=utf-8", PackageResources.index_html)
        case "/style.css": ("text/css; charset=utf-8", PackageResources.style_css)
        case "/page.js": ("text/javascript; charset=utf-8", PackageResources.page_js)
        case "/terminal.js": ("text/javascript; charset=utf-8", PackageResources.terminal_js)
        case "/icon.svg": ("image/svg+xml", PackageResources.icon_svg)
        default: nil
        }
    }
}
