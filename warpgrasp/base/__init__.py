"""What every room uses: files written whole or not at all, Warp's messages, USD layers, the status of a grasp."""
